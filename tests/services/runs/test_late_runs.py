"""Runs that come late: the ledger has all that time did, however long nobody looked."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert

from app.deployment import Deployment
from app.models import Policy, PolicyActivation
from app.postgres.db import WriteSession
from app.schemas.common.types import format_instant
from app.schemas.ingest.interactions import InteractionIn
from app.services.common import deployment_settings
from app.services.customer_base import populations
from app.services.customers import customers
from app.services.ingest import interactions, profiles
from app.services.operations.parts import Part
from app.services.policies import policies
from app.services.policy_changes import taking_effect
from app.services.stages import (
    derivation,
    due_transitions,
    overridden_stages,
    placement,
    rule_records,
)
from tests.database import NOW
from tests.depth import drawn
from tests.kept import as_item, ingest, store_model
from tests.lifecycle import at_random
from tests.services.stages.test_any_policy import (
    MODELLED,
    ledger,
    patch_of,
    profile_of,
    put_in_force,
)
from tests.slow_history import history
from tests.slow_policy import Change, Person
from tests.slow_profile import Said

EVERYBODY = {"after": "", "up_to": "~"}
CALLED_ONCE_IN_A_WEEK = {
    "stages": [{"code": code, "name": {"en": code, "zh": code}} for code in ("quiet", "called")],
    "inactivity_limit": {"floor_days": 30, "gap_multiple": 1, "gap_margin_days": 0},
    "rules": [
        {
            "code": "one_call",
            "stage": "called",
            "when": {"variable": "interactions", "days": 7, "op": "==", "value": 1},
        },
        {"code": "other", "stage": "quiet"},
    ],
}


async def run(session: WriteSession, deployment: Deployment, now: datetime) -> None:
    """Record the transitions of time as a scoring run does, which reads for its scores, too."""
    as_of, timeline = deployment.as_of(now), await policies.timeline(session)
    due = await due_transitions.due(session, deployment, now, **EVERYBODY)
    placed, moved = await due_transitions.placed_and_due(
        session, deployment, timeline, as_of, now, gap_days=None, **EVERYBODY
    )
    policy, ids = timeline.at(as_of.micros), list(placed.population.customer_ids)
    alone = await placement.of_population(
        session, deployment, policy,
        await populations.read(session, policy.inactivity_limit, as_of), as_of,
        gap_days=None,
        overrides=await overridden_stages.of_customers(session, deployment, timeline, as_of, ids),
    )  # fmt: skip
    assert moved == due
    assert (placed.stages, placed.rule.tolist()) == (alone.stages, alone.rule.tolist())
    if due:
        await customers.lock_or_create(session, due, now)
        await derivation.advance(session, deployment, due, now)
    await deployment_settings.put(session, deployment_settings.RECORDED_UNTIL, now.isoformat())


def call(day: datetime, number: int) -> InteractionIn:
    return InteractionIn.model_validate(
        {"customer_id": "c1", "interaction_id": f"i{number}", "occurred_at": format_instant(day),
         "kind": "call"}
    )  # fmt: skip


def on(day: int) -> datetime:
    return datetime(2026, 1, 1, 11, tzinfo=UTC) + timedelta(days=day)


def to_and_fro(deployment: Deployment) -> list[Change]:
    """Return the transitions of somebody who was called on the days 20 and 23."""

    def midnight(day: int) -> datetime:
        return deployment.calendar.start_of(deployment.calendar.day_of(on(day)))

    return [
        Change("quiet", "called", on(20), "fact", "one_call"),
        Change("called", "quiet", on(23), "fact", "other"),
        Change("quiet", "called", midnight(27), "inactivity", "one_call"),
        Change("called", "quiet", midnight(30), "inactivity", "other"),
    ]


@pytest.mark.parametrize("runs", [(24, 40), (24, 28, 32, 36, 40), tuple(range(24, 41)), (40,)])
async def test_a_late_run_finds_who_moved_and_came_back(
    session: WriteSession, deployment: Deployment, runs: tuple[int, ...]
) -> None:
    await put_in_force(session, 90, CALLED_ONCE_IN_A_WEEK)
    await deployment_settings.put(session, deployment_settings.RECORDED_UNTIL, on(1).isoformat())
    for number, day in enumerate((20, 23)):
        posted = [call(on(day), number)]
        await interactions.ingest(session, deployment, posted, atomic=True, now=on(day))
    for day in runs:
        await run(session, deployment, on(day))

    assert await ledger(session, "c1") == to_and_fro(deployment)


async def test_an_activation_records_who_moved_and_came_back_before_it(
    session: WriteSession, deployment: Deployment
) -> None:
    await put_in_force(session, 90, CALLED_ONCE_IN_A_WEEK)
    await deployment_settings.put(session, deployment_settings.RECORDED_UNTIL, on(1).isoformat())
    for number, day in enumerate((20, 23)):
        posted = [call(on(day), number)]
        await interactions.ingest(session, deployment, posted, atomic=True, now=on(day))
    await run(session, deployment, on(24))
    session.add(Policy(version=91, document=CALLED_ONCE_IN_A_WEEK, created_at=NOW))
    await session.flush()
    activation = {"activation_id": 2, "version": 91, "activated_at": on(40)}
    await session.execute(insert(PolicyActivation).values(activation))
    await deployment_settings.put(
        session, deployment_settings.POLICY_TIMELINE, deployment_settings.new_name()
    )
    context = {"activated_at": on(40).isoformat(), "recorded_until": on(24).isoformat()}
    part = Part(0, 1, taking_effect.APPLY, EVERYBODY, "", "", {}, context)
    await taking_effect.apply_part(session, deployment, part, on(40))
    assert await ledger(session, "c1") == to_and_fro(deployment)


async def test_a_late_run_finds_what_an_interaction_posted_before_its_time_did(
    session: WriteSession, deployment: Deployment
) -> None:
    await put_in_force(session, 90, CALLED_ONCE_IN_A_WEEK)
    await deployment_settings.put(session, deployment_settings.RECORDED_UNTIL, on(1).isoformat())
    early = on(20) - timedelta(hours=20)
    await interactions.ingest(session, deployment, [call(on(20), 1)], atomic=True, now=early)
    assert await ledger(session, "c1") == []
    await run(session, deployment, on(40))
    assert [each.cause for each in await ledger(session, "c1")] == ["fact", "inactivity"]


async def test_a_record_says_nothing_of_days_before_the_last_fact(
    session: WriteSession, deployment: Deployment
) -> None:
    await put_in_force(session, 90, CALLED_ONCE_IN_A_WEEK)
    await interactions.ingest(session, deployment, [call(on(20), 1)], atomic=True, now=on(20))
    policy, as_of = (await policies.timeline(session)).current, deployment.as_of(on(30))
    people = await populations.read(session, policy.inactivity_limit, as_of)
    day = deployment.calendar.day_of(on(15))
    known = await rule_records.at_instant(session, deployment, policy, people, as_of, since_day=day)
    assert known.span.first.tolist() == [deployment.calendar.day_of(on(20))]
    for asked in (on(19), on(31)):
        with pytest.raises(AssertionError, match="asked for a day"):
            known.values(policy.terms, known.owner, np.array([deployment.calendar.day_of(asked)]))
    only = await rule_records.at_instant(session, deployment, policy, people, as_of)
    with pytest.raises(AssertionError, match="asked for a day"):
        only.values(policy.terms, only.owner, np.array([deployment.calendar.day_of(on(29))]))


@pytest.mark.parametrize("seed", range(drawn(12, 100)))
async def test_the_ledger_is_the_same_whenever_runs_come(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    """Facts come as they happen, some a little ahead or later; runs at random gaps, then a last."""
    rng, zone = random.Random(seed), deployment.calendar.zone
    document, _ = at_random.policy(rng)
    base = rng.choice(at_random.BASES)
    people = {f"c{number}": at_random.person(rng, zone, base) for number in range(3)}
    arrivals = sorted(
        ((_arrives(rng, at, what), what, each) for each, one in people.items()
         for at, what in _happenings(each, one)), key=lambda each: each[0]
    )  # fmt: skip
    await store_model(session, at_random.MODEL_ID)
    await put_in_force(session, 100 + seed, document)
    start = min([*(one.begun_at for one in people.values()), *(at for at, *_ in arrivals)])
    # Of what was said since one instant, what arrives last counts.
    people = {
        each: replace(
            one,
            begun_at=start,
            said=tuple(
                what for _, what, whose in arrivals if isinstance(what, Said) and whose == each
            ),
        )
        for each, one in people.items()
    }
    end = max(at for at, *_ in arrivals) + timedelta(days=rng.choice((1, 40, 130)))
    await deployment_settings.put(session, deployment_settings.RECORDED_UNTIL, start.isoformat())
    for each, one in people.items():
        await profiles.put(
            session, deployment, each, profile_of(one), if_match=None, now=start, by="test"
        )
    gaps = rng.choice(((3, 5), (3, 9, 30), (20, 60, 100), (10_000,)))
    next_run = start + timedelta(days=rng.choice(gaps), minutes=rng.randint(0, 1440))
    for at, what, each in arrivals:
        while next_run < at:
            await run(session, deployment, next_run)
            next_run += timedelta(days=rng.choice(gaps), minutes=rng.randint(0, 1440))
        await _post(session, deployment, each, what, at)
    await run(session, deployment, end)
    for each, one in people.items():
        assert await ledger(session, each) == history(one, [(document, None)], end, model=MODELLED)


def _happenings(customer_id: str, one: Person) -> list[tuple[datetime, Any]]:
    found: list[tuple[datetime, Any]] = [
        (fact.at, as_item(customer_id, fact)) for fact in one.facts
    ]
    for number, event in enumerate(one.interactions):
        item = {"customer_id": customer_id, "interaction_id": f"i{number}", "kind": event.kind,
                "occurred_at": format_instant(event.at), "score": event.score}  # fmt: skip
        found.append((event.at, InteractionIn.model_validate(item)))
    return found + [(said.since, said) for said in one.said if said.since is not None]


def _arrives(rng: random.Random, at: datetime, what: Any) -> datetime:
    late = (0, 0, 0, 2, 30, 24 * 15)
    hours = rng.choice(late if isinstance(what, Said) else (*late, -20, -3))
    return at + timedelta(hours=hours)


async def _post(
    session: WriteSession, deployment: Deployment, each: str, what: Any, now: datetime
) -> None:
    if isinstance(what, Said):
        where: dict[str, Any] = {"if_match": None, "now": now, "by": "test"}
        await profiles.patch(session, deployment, each, patch_of(what), **where)
    elif isinstance(what, InteractionIn):
        await interactions.ingest(session, deployment, [what], atomic=True, now=now)
    else:
        await ingest(session, deployment, [what], now)
