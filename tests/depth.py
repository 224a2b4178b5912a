"""How much random tests draw: by default what has found the faults they are for, or more.

`make test ARGS="--hypothesis-profile=search"` draws more, here as in the tests of Hypothesis.
"""

from hypothesis import settings


def deep() -> bool:
    profile = settings.default
    return profile is not None and not profile.derandomize


def drawn(usual: int, most: int) -> int:
    """Return how many seeds or rounds a test draws."""
    return most if deep() else usual
