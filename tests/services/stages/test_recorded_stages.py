"""Stages of now by what is stored, held against those by whole histories: the slow twin."""

import random
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from app.deployment import Deployment
from app.errors import AppError
from app.lifecycle.presets import PRESETS
from app.models import Customer
from app.postgres.db import ReadSession, WriteSession
from app.schemas.ingest.churn_records import ChurnRecordContent
from app.schemas.stages.stages import OverrideRequest
from app.services.common import deployment_settings
from app.services.ingest import churn_records
from app.services.stages import manual_transitions, recorded_stages, stages
from tests.depth import drawn
from tests.kept import store_model
from tests.lifecycle import at_random
from tests.services.stages.test_any_policy import post_all, put_in_force
from tests.slow_policy import Person

PEOPLE = 8


async def populate(
    session: WriteSession, deployment: Deployment, rng: random.Random
) -> tuple[dict[str, Person], datetime]:
    zone = deployment.calendar.zone
    people = {f"c{number}": at_random.person(rng, zone) for number in range(PEOPLE)}
    moments = [at_random.moment(rng, one) for one in people.values() for _ in range(3)]
    now = max([*moments, *(one.begun_at for one in people.values())])
    # One fact at a time in any order is what test_any_policy looks at; here they are read.
    await post_all(session, deployment, rng, people, now, at_once=25)
    return people, now


async def compare(
    session: ReadSession, deployment: Deployment, now: datetime, known: list[str]
) -> int:
    """Compare what is recorded with the histories; return of how many it told the stage."""
    found = await recorded_stages.of_customers(session, deployment, [*known, "nobody"], now)
    assert found.known == set(known)
    for customer_id, answer in found.answers.items():
        assert answer == await stages.get(
            session,
            deployment,
            customer_id,
            as_of=deployment.as_of(now),
            policy_version=None,
            now=now,
        )
    return len(found.answers)


async def known_customers(session: ReadSession) -> list[str]:
    return list(await session.scalars(select(Customer.customer_id).order_by("customer_id")))


def later(rng: random.Random, now: datetime) -> datetime:
    return now + rng.choice(
        [timedelta(hours=20), timedelta(days=rng.randrange(400)), timedelta(days=3000)]
    )


async def decide(
    session: WriteSession, deployment: Deployment, rng: random.Random, each: str, now: datetime
) -> None:
    """Say of somebody why he left, and perhaps set that he has, where the policy allows it."""
    content = ChurnRecordContent(churn_record_id="r", reason="price", occurred_at=now)
    await churn_records.create(session, deployment, each, content, now=now)
    if rng.random() < 0.3:
        asked = OverrideRequest(stage="churned", reason="price", until=now + timedelta(days=30))
        with suppress(AppError):
            await manual_transitions.override(
                session, deployment, each, asked, if_match=None, now=now, by="tests"
            )


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("seed", range(drawn(2, 20)))
async def test_under_ready_policies_most_stages_are_told_by_what_is_stored(
    session: WriteSession, deployment: Deployment, preset: str, seed: int
) -> None:
    rng = random.Random(seed)
    await put_in_force(session, 80, PRESETS[preset])
    people, now = await populate(session, deployment, rng)
    for each in rng.sample(sorted(people), 4):
        await decide(session, deployment, rng, each, now)
    known = await known_customers(session)
    await deployment_settings.put(session, deployment_settings.RECORDED_UNTIL, now.isoformat())
    assert await compare(session, deployment, now, known) >= len(known) // 3
    for _ in range(3):
        await compare(session, deployment, later(rng, now), known)


@pytest.mark.parametrize("seed", range(drawn(6, 100)))
async def test_what_is_stored_tells_what_histories_tell_under_any_policy(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    document, _ = at_random.policy(rng)
    await store_model(session, at_random.MODEL_ID)
    await put_in_force(session, 60 + seed, document)
    _, now = await populate(session, deployment, rng)
    known = await known_customers(session)
    recorded = rng.choice([now, now - timedelta(days=rng.randrange(100))])
    await deployment_settings.put(session, deployment_settings.RECORDED_UNTIL, recorded.isoformat())
    for at in (now, later(rng, now), later(rng, now)):
        await compare(session, deployment, at, known)


async def test_while_another_policy_takes_effect_nothing_is_told_by_what_is_stored(
    session: WriteSession, deployment: Deployment
) -> None:
    # The database was made today; what happens here was long before.
    await deployment_settings.put(
        session, deployment_settings.RECORDED_UNTIL, "2000-01-01T00:00:00+00:00"
    )
    _, now = await populate(session, deployment, random.Random(0))
    await deployment_settings.put(session, deployment_settings.RECORDED_UNTIL, now.isoformat())
    known = await known_customers(session)
    assert await compare(session, deployment, now, known)
    await deployment_settings.put(session, deployment_settings.SETTLED_POLICY, 0)
    assert not await compare(session, deployment, now, known)
