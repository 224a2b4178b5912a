"""Scoring runs: everybody scored in parts and published at once; schedule and reports."""
