"""One page that shows a whole comparison: scores, samples, attention and where they come from."""
