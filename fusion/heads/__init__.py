"""Heads on the experts' tokens that name generators and types."""
