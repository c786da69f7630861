"""Detectors, heads and maps of the zoo: training and leaderboard."""
