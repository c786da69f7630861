"""The perturbation operators, one function each."""
