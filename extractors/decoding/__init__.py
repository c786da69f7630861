"""Decoding in a child process, which may die of a broken file."""
