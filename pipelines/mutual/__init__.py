"""A corpus compared with itself."""
