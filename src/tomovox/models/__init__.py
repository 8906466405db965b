"""The models: how a volume becomes tokens for a language model. One file per system."""
