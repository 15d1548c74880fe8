"""Customers and their members: teams are made, joined, left, handed over, suspended and given up."""
