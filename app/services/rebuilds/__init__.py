"""Everything derived, derived anew from the facts: compared, and mended where it differs."""
