"""Which generator a clip is like."""
