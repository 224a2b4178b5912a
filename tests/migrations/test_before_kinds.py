"""A database from before kinds of interactions were declared keeps its answers."""

import json
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.config import Settings
from app.lifecycle.presets import PRESETS
from app.lifecycle.presets.kinds import CORE_KINDS, scale_of_answers
from app.migrate import migrate
from app.postgres.db import Database, ReadSession
from app.services.policies import policies
from tests.migrations.test_migrations import _downgrade, rows

BEFORE = "0003"
RULE = {"variable": "last_satisfaction", "op": "<", "value": 3}


async def before(engine: AsyncEngine, scores: list[float]) -> None:
    """Make the database one of the release before, in which surveys were answered."""
    async with engine.begin() as connection:
        await connection.run_sync(_downgrade, BEFORE)
        await connection.execute(
            text(
                "INSERT INTO interactions (customer_id, source, interaction_id, revision,"
                " fingerprint, occurred_at, occurred_on, kind, score, received_at)"
                " VALUES ('c', 's', :id, 1, '', '2026-01-31', '2026-01-31', 'survey', :score,"
                " '2026-01-31')"
            ),
            [{"id": f"i{place}", "score": score} for place, score in enumerate(scores or [None])],
        )


async def stored(engine: AsyncEngine, version: int, document: Any, preset: str | None) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM policies WHERE version = :n"), {"n": version})
        await connection.execute(
            text(
                "INSERT INTO policies (version, preset, document, created_at)"
                " VALUES (:n, :preset, CAST(:document AS jsonb), '2026-01-31')"
            ),
            {"n": version, "preset": preset, "document": json.dumps(document)},
        )


def before_scales(preset: str) -> Any:
    """Return a preset as it was: a bound in place of what is declared."""
    said = json.dumps(PRESETS[preset])
    new = json.dumps({"variable": "satisfied", "op": "==", "value": False})
    return json.loads(said.replace(new, json.dumps(RULE)))


@pytest.mark.parametrize(
    ("scores", "scale"),
    [
        ([], (0, 10, 5)),
        ([1, 4.5, 5], (1, 5, 3)),
        ([0, 5], (0, 5, 3)),
        ([3, 9], (0, 10, 5)),
        ([1, 80], (0, 100, 50)),
    ],
)
async def test_the_scale_of_surveys_is_the_one_that_their_answers_fit_on(
    engine: AsyncEngine, settings: Settings, scores: list[float], scale: tuple[float, ...]
) -> None:
    await before(engine, scores)
    await migrate(engine, settings)
    ((found,),) = await rows(engine, "SELECT scale FROM interaction_kinds WHERE kind = 'survey'")
    assert (found["min"], found["max"], found["good_from"]) == scale
    assert await rows(engine, "SELECT count(*) FROM interaction_kinds") == [(len(CORE_KINDS),)]
    assert scores == [] or scale_of_answers(min(scores), max(scores)) == found


async def test_a_version_reads_on_what_it_read_and_presets_learn_of_scales(
    engine: AsyncEngine, settings: Settings
) -> None:
    own = before_scales("five_stages")
    asks = {"code": "cross", "stage": "initial", "when": RULE}
    own = {**own, "rules": [asks, *own["rules"]]}
    await before(engine, [2])
    await stored(engine, 1, before_scales("five_stages"), "five_stages")
    await stored(engine, 2, {**before_scales("four_stages"), "rules": own["rules"][1:]},
                 "four_stages")  # fmt: skip
    await stored(engine, 8, own, None)
    await migrate(engine, settings)
    query = "SELECT version, document, interaction_kinds FROM policies"
    found = {row[0]: row[1:] for row in await rows(engine, query)}
    assert found[1][0] == PRESETS["five_stages"]
    assert "survey" in found[1][1]
    assert (found[2][1], found[8]) == (None, (own, None))  # what puts others elsewhere stays
    async with Database.on(engine).reads() as session:
        policy = await policies.get(ReadSession(session), 8)
    (term,) = [each for each in policy.terms if each.name == "last_satisfaction"]
    assert (term.declared, term.kinds) == (None, frozenset({"survey"}))
    await migrate(engine, settings)
    assert await rows(engine, "SELECT count(*) FROM policies") == [(len(PRESETS) + 1,)]


async def test_a_model_keeps_the_best_answer_of_its_time_as_its_scale(
    engine: AsyncEngine, settings: Settings
) -> None:
    await before(engine, [])
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO models (model_id, kind, status, time_unit, as_of, fitted_at,"
                " customers, document, state) VALUES ('m', 'nbd', 'ok', 'day', '2026-01-31',"
                " '2026-01-31', 1, '{\"schema_version\": 1, \"satisfaction_scale\": 4.5}',"
                " 'retired')"
            )
        )
    await migrate(engine, settings)
    ((document,),) = await rows(engine, "SELECT document FROM models")
    scale = {"min": 0, "max": 4.5, "good_from": 4.5}
    assert document == {
        "schema_version": 4,
        "clv": {"horizon_days": 365, "annual_discount": 0.1, "basis": "revenue"},
        "margins": None,
        "interaction_kinds": {"survey": {"phase": "none", "contact": True, "scale": scale}},
        "rfm_given": {},
        "rfm_classes": None,
        "suggested_horizon_days": None,
        "refit": None,
    }
    async with engine.begin() as connection:
        await connection.run_sync(_downgrade, BEFORE)
    assert await rows(engine, "SELECT document FROM models") == [
        ({"schema_version": 1, "satisfaction_scale": 4.5},)
    ]
