"""Where does a model look, does that move with the question, and does it find the evidence?"""
