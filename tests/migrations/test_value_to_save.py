"""Runs and models of before value to save was told."""

import json
from typing import Any

from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.postgres import schema
from app.services.models.model_documents import ClvTerms, ModelDocument
from app.services.scores.run_summaries import RunSummary
from tests.kept import MODEL

BEFORE = {"active": {"customers": 2, "revenue": "12.5000", "value_at_risk": "3.0000"}}


def _to(revision: str, connection: Connection) -> None:
    configuration = schema.config()
    configuration.attributes["connection"] = connection
    if revision == "head":
        command.upgrade(configuration, revision)
    else:
        command.downgrade(configuration, revision)


async def _move(engine: AsyncEngine, revision: str) -> None:
    async with engine.connect() as connection:
        await connection.run_sync(lambda sync: _to(revision, sync))
        await connection.commit()


async def _one(engine: AsyncEngine, query: str) -> Any:
    async with engine.connect() as connection:
        return await connection.scalar(text(query))


async def test_earlier_runs_have_none_and_earlier_models_keep_how_they_were_fitted(
    engine: AsyncEngine,
) -> None:
    await _move(engine, "0009")
    summary = {"schema_version": 2, "stages": BEFORE, "cells": [], "groups": {}}
    spend = {"kind": "gamma_gamma", "status": "ok", "parameters": MODEL.spend.params,
             "standard_errors": {}, "log_likelihood": None, "customers": 9,
             "correlation": 0.4}  # fmt: skip
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO runs (operation_id, model_id, policy_version, as_of, created_at,"
                " summary) VALUES ('o', 'm', 1, '2026-01-31Z', '2026-01-31Z',"
                " CAST(:summary AS jsonb))"
            ),
            {"summary": json.dumps(summary)},
        )
        await connection.execute(
            text(
                "INSERT INTO scores (customer_id, run_id, stage, status, at_risk, purchase_days,"
                " revenue, value_at_risk) SELECT 'c', run_id, 'active', 'ok', false, 1, 9, 3"
                " FROM runs"
            )
        )
        await connection.execute(
            text(
                "INSERT INTO models (model_id, kind, status, time_unit, as_of, fitted_at,"
                " customers, document, state) VALUES ('m', 'nbd', 'ok', 'day', '2026-01-31',"
                " '2026-01-31', 1, CAST(:document AS jsonb), 'retired')"
            ),
            {"document": json.dumps({"schema_version": 3, "spend": spend})},
        )
    await _move(engine, "head")
    assert await _one(engine, "SELECT value_to_save FROM runs.scores_1") is None
    found = RunSummary.load(await _one(engine, "SELECT summary FROM runs"))
    assert found.stages["active"].revenue == 12.5
    assert not found.tells_value_to_save
    document = await _one(engine, "SELECT document FROM models")
    assert document["schema_version"] in (ModelDocument.version, *ModelDocument.reads)
    assert ClvTerms(**document["clv"]) == ClvTerms()
    assert document["margins"] is None
    assert document["spend"] == {**spend, "evidence": "repeat_purchases", "comparison": None}
    await _move(engine, "0009")
    before = await _one(engine, "SELECT document FROM models")
    assert before == {"schema_version": 3, "spend": spend}
    stages = (await _one(engine, "SELECT summary FROM runs"))["stages"]
    assert stages == {"active": {**BEFORE["active"], "value_at_risk": None}}
