"""The OpenAPI document as it is committed: `python -m tests.openapi > openapi.json`."""

import json
import sys
from functools import cache
from typing import Any

from app.config import Settings
from app.db import Database, create_engine
from app.main import create_app


@cache
def document() -> dict[str, Any]:
    """Return the document; it says nothing of the settings, and needs no database."""
    database = Database.on(create_engine("postgresql+asyncpg://nowhere/nothing"))
    return create_app(Settings(), database).openapi()


def text() -> str:
    """Return the document as it stands in the file."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
