"""Policies, and the variables that their rules may name."""
