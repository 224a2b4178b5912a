"""What many customers are read for at once, held against each by itself and the ledger."""

import random
from datetime import timedelta

import numpy as np
import pytest

from app.deployment import Deployment
from app.lifecycle.presets import PRESETS
from app.postgres.db import WriteSession
from app.services.customer_base import populations
from app.services.policies import policies
from app.services.stages import ledger, next_actions, rule_stages
from tests.services.stages.test_any_policy import put_in_force
from tests.services.stages.test_recorded_stages import known_customers, populate


@pytest.mark.parametrize("preset", sorted(PRESETS))
async def test_reading_stage_by_stage_tells_the_same_actions(
    session: WriteSession,
    deployment: Deployment,
    preset: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await put_in_force(session, 80, PRESETS[preset])
    _, now = await populate(session, deployment, random.Random(4))
    policy, as_of = await policies.active(session), deployment.as_of(now)
    limit = policy.inactivity_limit
    known = await known_customers(session)
    for shift in range(len(policy.stages)):
        stages = (np.arange(len(known)) + shift) % len(policy.stages)
        everybody = await populations.read(session, limit, as_of)
        asked = session, deployment, policy
        monkeypatch.setattr(next_actions, "MANY", 0)
        found = await next_actions.of_stages(*asked, everybody, stages, as_of)
        monkeypatch.undo()
        for row in range(len(known)):
            own = np.array([row])
            alone = everybody.take(own)
            expected = await next_actions.of_stages(*asked, alone, stages[own], as_of)
            assert found[row] == expected[0]


@pytest.mark.parametrize("seed", range(4))
async def test_recorded_stages_are_those_of_the_ledger(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    _, now = await populate(session, deployment, random.Random(seed))
    known = await known_customers(session)
    for days in (0, 30, 200, 900):
        as_of = deployment.as_of(now - timedelta(days=days))
        found = await rule_stages.read(session, deployment, known, as_of)
        for row, customer_id in enumerate(known):
            stage, since = await ledger.stage_at(session, customer_id, as_of.at, None)
            if found.stage[row] is None:
                assert since is None
                assert np.isnan(found.since_day[row])
                continue
            assert found.stage[row] == stage
            if since is not None:
                assert found.since_day[row] == deployment.calendar.day_of(since)
