"""Fusion networks of the literature, for the zoo."""
