"""Ratios against named baselines, each measured in one run."""
