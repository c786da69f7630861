"""Readers of the field's data sets, in the layouts of their makers."""
