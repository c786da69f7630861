"""Worse and attacked clips: how far a detector falls."""
