"""Mutual scoring: the files of a corpus compared with each other."""
