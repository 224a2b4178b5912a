"""Runs and reports over HTTP."""
