"""Fitted models and their back-tests."""
