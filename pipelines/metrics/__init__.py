"""Metrics as pure functions of labels, scores and segments."""
