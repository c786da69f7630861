"""Data sets, manifests, samples, and streams on disk."""
