"""Models of before the horizon was a setting: what nobody asked for is the setting's to change."""

from typing import Any

from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.postgres import schema


def _to(connection: Connection, revision: str, *, up: bool) -> None:
    configuration = schema.config()
    configuration.attributes["connection"] = connection
    (command.upgrade if up else command.downgrade)(configuration, revision)


async def _migrate(engine: AsyncEngine, revision: str, *, up: bool) -> None:
    async with engine.connect() as connection:
        await connection.run_sync(_to, revision, up=up)
        await connection.commit()


async def _documents(engine: AsyncEngine) -> dict[str, Any]:
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT model_id, document FROM models"))
        return {row.model_id: row.document for row in found}


async def test_models_of_before_say_who_chose_their_horizon(engine: AsyncEngine) -> None:
    await _migrate(engine, "0009", up=False)
    rules = {"asked": "asked_for", "by_data": "the round number of days closest to"}
    async with engine.begin() as connection:
        for model_id, rule in rules.items():
            await connection.execute(
                text(
                    "INSERT INTO models (model_id, kind, status, time_unit, as_of, fitted_at,"
                    " customers, state, document) VALUES (:model_id, 'nbd', 'ok', 'day',"
                    " '2026-01-31Z', '2026-01-31Z', 1, 'retired', jsonb_build_object("
                    " 'schema_version', 3, 'horizon_days', 60, 'horizon_rule', CAST(:rule AS text),"
                    " 'facts', 5))"
                ),
                {"model_id": model_id, "rule": rule},
            )
    await _migrate(engine, "head", up=True)
    new = {"suggested_horizon_days": None, "refit": None}
    for model_id, rule in (("asked", "asked_for"), ("by_data", "setting")):
        document = (await _documents(engine))[model_id]
        assert document["schema_version"] == 4
        assert (document["horizon_rule"], document["horizon_days"]) == (rule, 60)
        assert new.items() <= document.items()
    await _migrate(engine, "0009", up=False)
    for document in (await _documents(engine)).values():
        assert document["schema_version"] == 3
        assert not new.keys() & document.keys()
        assert document["facts"] == 5
