"""Forgeries of the sound."""
