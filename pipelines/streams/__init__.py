"""The streams of files: extracted, or read from where an earlier extraction left them."""
