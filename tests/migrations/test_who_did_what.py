"""Keys of before scopes for personal data keep what they saw; new ones must ask."""

from typing import Any

from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.postgres import schema

BEFORE = "0015"
KEYS = {
    "a": ["customers:read", "reports:read"], "b": ["scores:read"], "c": ["customers:write"],
    "d": ["reports:read"], "e": ["admin"], "f": ["transactions:write"],
}  # fmt: skip


async def _move(engine: AsyncEngine, revision: str) -> None:
    def move(connection: Connection) -> None:
        configuration = schema.config()
        configuration.attributes["connection"] = connection
        (command.downgrade if revision == BEFORE else command.upgrade)(configuration, revision)

    async with engine.connect() as connection:
        await connection.run_sync(move)
        await connection.commit()


async def _scopes(engine: AsyncEngine) -> dict[str, Any]:
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT key_id, scopes FROM api_keys"))
        return {row.key_id: row.scopes for row in rows}


async def test_keys_of_before_see_what_they_saw(engine: AsyncEngine) -> None:
    await _move(engine, BEFORE)
    async with engine.begin() as connection:
        for key_id, scopes in KEYS.items():
            await connection.execute(
                text(
                    "INSERT INTO api_keys (key_id, name, secret_hash, scopes, created_at)"
                    " VALUES (:key_id, 'n', '\\x00', :scopes, now())"
                ),
                {"key_id": key_id, "scopes": scopes},
            )
    await _move(engine, "head")
    seeing = {key_id for key_id, scopes in (await _scopes(engine)).items()
              if "customers:read_pii" in scopes}  # fmt: skip
    assert seeing == {"a", "b", "c"}
    await _move(engine, BEFORE)
    assert await _scopes(engine) == KEYS
