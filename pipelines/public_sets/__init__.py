"""A public data set as its makers ship it, to weights, and to its protocol's numbers."""
