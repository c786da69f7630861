"""Writing and reading of result rows."""
