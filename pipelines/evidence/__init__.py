"""The evidence for a verdict: ablations, heat maps and measurements."""
