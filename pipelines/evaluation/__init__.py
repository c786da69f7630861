"""Results and truth to metrics, tables and plots."""
