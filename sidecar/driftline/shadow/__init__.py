"""Comparison of a candidate with the live model on the same requests: pairs, bounds, account, gate. Pure."""
