"""Facts that were stored before the columns they have now."""

from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.config import Settings
from app.migrate import migrate
from app.postgres import schema

FACTS = """
INSERT INTO customers (customer_id, version, profile_version, attributes, stage, stage_version,
  created_at, updated_at) VALUES ('c1', 1, 1, '{}', 'potential', 0, now(), now());
INSERT INTO transactions (customer_id, source, transaction_id, revision, fingerprint, kind,
  occurred_at, occurred_on, amount, currency, value, received_at)
  VALUES ('c1', 'shop', 't1', 2147483647, '\\x00', 'purchase', now(), current_date, 5, 'EUR', 5,
  now());
INSERT INTO transaction_revisions VALUES ('c1', 'shop', 't1', 7, '\\x01', '{}', now());
INSERT INTO interactions (customer_id, source, interaction_id, revision, fingerprint, occurred_at,
  occurred_on, kind, received_at)
  VALUES ('c1', 'desk', 'i1', 3, '\\x00', now(), current_date, 'call', now());
INSERT INTO interaction_revisions VALUES ('c1', 'desk', 'i1', 2, '\\x01', '{}', now());
"""


def _to_0003(connection: Connection) -> None:
    configuration = schema.config()
    configuration.attributes["connection"] = connection
    command.downgrade(configuration, "0003")


async def test_facts_of_before_are_kept_and_count(engine: AsyncEngine, settings: Settings) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(_to_0003)
    async with engine.begin() as connection:
        for statement in FACTS.split(";"):
            if statement.strip():
                await connection.execute(text(statement))
    await migrate(engine, settings)
    async with engine.connect() as connection:
        for noun, revision, before in (("transaction", 2**31 - 1, 7), ("interaction", 3, 2)):
            found = await connection.scalar(text(f"SELECT revision FROM {noun}s"))
            kept = await connection.execute(
                text(f"SELECT revision, voided_at FROM {noun}_revisions")
            )
            assert (found, list(kept)) == (revision, [(before, None)])
            await connection.execute(text(f"UPDATE {noun}s SET revision = 9223372036854775807"))
        attributes = await connection.scalar(text("SELECT attributes FROM transactions"))
        assert attributes is None
