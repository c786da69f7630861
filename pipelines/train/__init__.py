"""Labelled clips to weights."""
