"""Genuine clips to forged clips with exact truth."""
