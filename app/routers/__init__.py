"""HTTP: paths, statuses and shapes, and one service call each."""
