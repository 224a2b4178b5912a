"""Answers as they really were: what the document shows of each operation.

`examples.json` is written by `make examples`, from a run of the service, and never by hand.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("examples.json")


@cache
def examples() -> dict[str, dict[str, dict[str, Any]]]:
    """Return by operation, status and media type an answer; none where none was written yet."""
    if not _FILE.exists():
        return {}
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found
