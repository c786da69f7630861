"""Streams and tokens of a corpus on disk, for other programs to learn from."""
