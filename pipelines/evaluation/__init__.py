"""Evaluation: metrics, tables and plots of results against their truth."""
