"""Forging: forged clips with exact labels, made from genuine ones."""
