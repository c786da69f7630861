"""Detectors of the literature, for the zoo."""
