"""Where customers stand, how they came there, and why."""
