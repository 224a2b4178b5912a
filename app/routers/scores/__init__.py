"""Scores and churn risks over HTTP."""
