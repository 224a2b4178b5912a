"""Scores of one customer, of many, of histories a caller brings, and what changed."""
