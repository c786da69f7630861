"""Pre-training of picture encoders on a corpus of clips, and adapters for them."""
