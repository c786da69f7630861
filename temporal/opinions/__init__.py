"""Opinions that are fitted in closed form on tokens, crops or sound."""
