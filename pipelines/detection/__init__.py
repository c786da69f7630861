"""The detection of manipulations in one file."""
