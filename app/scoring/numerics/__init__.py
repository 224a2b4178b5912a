"""Special functions, optimisation, checks of input, and types: what every scorer computes with."""
