"""Segments: named rules, whom they have as members, and what is kept of that."""
