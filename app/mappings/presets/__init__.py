"""Mappings that are ready for the systems people have, as pure functions of a few parameters."""
