"""Rows of results: what is written, what is read back."""
