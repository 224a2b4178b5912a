"""The OpenAPI document, as it is drawn and as it is committed.

`python -m tests.openapi > openapi.json` commits what is drawn. One test holds the two against each
other, so all others may read the file: to draw takes seconds, in each process that collects tests.
"""

import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from app.config import Settings
from app.main import create_app
from app.postgres.db import Database, create_engine

COMMITTED = Path(__file__).parents[1] / "openapi.json"


@cache
def document() -> dict[str, Any]:
    """Return the document; it says nothing of the settings, and needs no database."""
    database = Database.on(create_engine("postgresql+asyncpg://nowhere/nothing"))
    return create_app(Settings(), database).openapi()


@cache
def committed() -> dict[str, Any]:
    """Return the document as it is committed."""
    read: dict[str, Any] = json.loads(COMMITTED.read_text(encoding="utf-8"))
    return read


def text() -> str:
    """Return the document as it should stand in the file."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def operations(of: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, method and operation."""
    for path, methods in of["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def resolved(of: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference into the document."""
    found: Any = of
    if "$ref" not in part:
        return part
    for step in part["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


if __name__ == "__main__":
    sys.stdout.write(text())
