"""Facts and profiles in: normalised, recognised when sent again, stored, settled."""
