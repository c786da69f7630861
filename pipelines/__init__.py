"""Runs: from files to verdicts, and from clips to weights."""
