"""Fusion of the experts' tokens. This package handles tensors alone, no media."""
