"""Everything along time: windows, the experts' tokens, and where the forged segments are."""
