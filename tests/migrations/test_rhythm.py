"""Models and runs of before there was rhythm, brought to what they are now."""

from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.postgres import schema
from app.postgres.db import ReadSession
from app.services.models import model_store
from tests.database import writing
from tests.kept import store_model, store_run


def _to(connection: Connection, revision: str) -> None:
    configuration = schema.config()
    configuration.attributes["connection"] = connection
    move = command.upgrade if revision == "head" else command.downgrade
    move(configuration, revision)


async def test_models_and_scores_of_before_are_read(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session, session.begin():
        await store_model(writing(session), "model_of_before")
        run_id = await store_run(writing(session), scored=["c"])
        await session.execute(
            text(f"UPDATE runs.scores_{run_id} SET rhythm = 'due', call_reasons = '{{overdue}}'")
        )
    async with engine.connect() as connection:
        await connection.run_sync(_to, "0009")
        await connection.commit()
    async with engine.begin() as connection:
        stored = (await connection.execute(text("SELECT document FROM models"))).scalar_one()
        assert stored["schema_version"] == 3
        assert not {"rhythm", "regularity"} & stored.keys()
        await connection.execute(text("UPDATE scores SET at_risk = true, level = 'high'"))
    async with engine.connect() as connection:
        await connection.run_sync(_to, "head")
        await connection.commit()
    async with engine.connect() as connection:
        columns = "rhythm, chance_if_active, call_reasons"
        kept = (await connection.execute(text(f"SELECT {columns} FROM runs.scores_{run_id}"))).one()
    assert tuple(kept) == (None, None, [])
    async with AsyncSession(engine) as session:
        model = await model_store.load(ReadSession(session), "model_of_before")
    assert (model.rhythm.first_gaps, model.regularity.gap) == (None, 1.0)
