"""Scores, runs and models of before groups looked at money, brought to what they are now."""

from typing import Any

from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.postgres import schema
from app.services.scores.run_summaries import RunSummary


def _to(revision: str, connection: Connection) -> None:
    configuration = schema.config()
    configuration.attributes["connection"] = connection
    command.downgrade(configuration, revision)


async def _rows(engine: AsyncEngine, query: str) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def test_groups_that_are_kept_are_named_anew(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.run_sync(lambda sync: _to("0003", sync))
        await connection.commit()
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO runs (operation_id, model_id, policy_version, as_of, created_at,"
                " summary) VALUES ('o', 'm', 1, '2026-01-31Z', '2026-01-31Z',"
                " CAST(:summary AS jsonb))"
            ),
            {"summary": '{"schema_version": 1, "stages": {}, "cells": [], "groups": {}}'},
        )
        for customer, r, f, m, group, revenue in (
            ("two_of_13", 5, 5, 1, "champions", "26.00"),
            ("best", 5, 5, 4, "champions", "900.00"),
            ("once", 5, 1, 1, "new", "9.50"),
            ("nobody", "NULL", "NULL", "NULL", None, "0"),
        ):
            await connection.execute(
                text(
                    "INSERT INTO scores (customer_id, run_id, stage, status, at_risk,"
                    " purchase_days, revenue, r, f, m, rfm_group)"
                    " SELECT :customer, run_id, 'active', 'ok', false,"
                    f" 1, CAST(:revenue AS numeric), {r}, {f}, {m}, :group FROM runs"
                ),
                {"customer": customer, "revenue": revenue, "group": group},
            )
    async with engine.connect() as connection:
        await connection.run_sync(_up)
        await connection.commit()
    assert dict(await _rows(engine, "SELECT customer_id, rfm_group FROM runs.scores_1")) == {
        "two_of_13": "rising", "best": "champions", "once": "recent", "nobody": None,
    }  # fmt: skip
    ((stored,),) = await _rows(engine, "SELECT summary FROM runs")
    summary = RunSummary.load(stored)
    assert {(cell.r, cell.fm): cell.customers for cell in summary.cells} == {
        (5, 3): 1, (5, 4): 1, (5, 1): 1,
    }  # fmt: skip
    assert {group: str(each.revenue) for group, each in summary.groups.items()} == {
        "rising": "26.0000", "champions": "900.0000", "recent": "9.5000",
    }  # fmt: skip


def _up(connection: Connection) -> None:
    configuration = schema.config()
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, "head")
