"""Long work: operations, their parts, and removing what is no longer asked for."""
