"""What operations ask: health, and what this deployment is."""
