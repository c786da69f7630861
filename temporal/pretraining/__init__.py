"""Pre-training of picture encoders without labels: what is hidden from them, and what is lost."""
