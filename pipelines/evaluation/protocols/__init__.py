"""Published protocols of evaluation: which clips are compared, and what is reported of them."""
