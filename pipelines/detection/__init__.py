"""One file to its verdict."""
