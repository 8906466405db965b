"""Tomovox compares multimodal language models that read 3D medical images."""
