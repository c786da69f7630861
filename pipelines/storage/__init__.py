"""Files, tables and weights, on this machine and elsewhere."""
