"""What is a prediction worth? Pure functions over texts and answers, and the catalogue of them."""
