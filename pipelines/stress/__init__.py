"""Robustness: how far a detector falls on perturbed and attacked clips."""
