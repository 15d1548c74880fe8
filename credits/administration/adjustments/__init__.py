"""Balances that administrators correct, and grants that they give."""
