"""How good predictions were, and which model to take: losses, calibration, hold-outs."""
