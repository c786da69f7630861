"""Calls tried by challenges: what a caller is asked, and whether the answer does it."""
