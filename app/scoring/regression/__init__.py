"""Logistic regression and recalibration: scores of columns whose reasons add up."""
