"""Fitted models: fitting, choosing, comparing, serving, monitoring, back-tests."""
