"""What is told of what happens: log, metrics, traces."""
