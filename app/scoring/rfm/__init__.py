"""Recency, frequency and monetary value: scores, groups and classes against stored cuts."""
