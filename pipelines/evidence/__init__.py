"""What a verdict rests on."""
