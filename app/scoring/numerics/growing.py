"""Columns of which part after part is found, with room for all parts once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Columns:
    """Columns that grow where they are: the parts are not kept until all can be joined."""

    def __init__(self, first: Mapping[str, NDArray[Any]]) -> None:
        self.arrays = {name: np.array(column) for name, column in first.items()}

    def add(self, more: Mapping[str, NDArray[Any]]) -> None:
        """Append a part; a text that is longer than those before makes its column wider."""
        for name, before in self.arrays.items():
            added, size = more[name], before.size
            column = before.astype(np.promote_types(before.dtype, added.dtype), copy=False)
            column.resize(size + added.size, refcheck=False)
            column[size:] = added
            self.arrays[name] = column


def growing(found: Columns | None, more: Mapping[str, NDArray[Any]]) -> Columns:
    """Return columns with a part more, the first one or another."""
    if found is None:
        return Columns(more)
    found.add(more)
    return found
