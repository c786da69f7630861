"""Probes of trained detectors: what each expert on the picture relies on, and what breaks it."""
