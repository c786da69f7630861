"""A corpus to a result set, on workers that may die."""
