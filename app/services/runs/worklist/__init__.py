"""Whom to call today and why: read from facts, profiles and the run; docs/decisions/0056."""
