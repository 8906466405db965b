"""Records, volumes, prompts and the synthetic phantom: everything between a disk and a batch."""
