"""Heads on the experts' tokens that attribute a clip to generators and types of forgery."""
