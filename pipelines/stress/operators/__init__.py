"""The perturbations, one function each."""
