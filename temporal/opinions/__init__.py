"""Opinions that are fitted in closed form, on tokens or crops."""
