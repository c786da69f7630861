"""The zoo: published detectors, heads and maps, trained and measured on one protocol."""
