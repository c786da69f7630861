"""Data: data sets, manifests, samples, labels, and the cache of streams."""
