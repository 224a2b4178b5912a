"""Long arrays in pieces whose temporaries stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK = 1 << 14


def blocks(size: int) -> Iterator[slice]:
    """Yield slices that cover ``range(size)``."""
    return (slice(start, start + BLOCK) for start in range(0, size, BLOCK))
