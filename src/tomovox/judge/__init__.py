"""How good are the predictions of a run? Reads files of predictions, needs no model."""
