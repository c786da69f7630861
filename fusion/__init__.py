"""Tokens of several streams in, fused tokens out. Knows tensors alone."""
