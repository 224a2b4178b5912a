"""Answers that go on from what is kept, instead of from the first fact."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from app.deployment import Deployment
from app.lifecycle.presets import PRESETS
from app.models import Policy, PolicyActivation
from app.postgres.db import WriteSession
from app.services.common import deployment_settings
from app.services.stages import derivation, stages
from tests.database import NOW
from tests.kept import as_item, ingest, kept_ledger, kept_summary
from tests.twin import Fact, Twin

FIVE_STAGES: dict[str, Any] = dict(PRESETS["five_stages"])


def bought(name: str, days_ago: int) -> Fact:
    return Fact(("default", name), NOW - timedelta(days=days_ago), Decimal(5))


async def test_a_purchase_that_its_refund_came_before_is_no_purchase_day(
    session: WriteSession, deployment: Deployment
) -> None:
    late = bought("late", 10)
    refund = Fact(("pos", "r"), NOW - timedelta(days=20), late.amount, "refund", late.name)
    facts = [bought("first", 30), refund, late]
    for fact in facts:
        await ingest(session, deployment, [as_item("c", fact)], fact.at)
    twin = Twin(facts, deployment.calendar.zone)
    assert twin.summary(NOW)["purchase_days"] == 1
    assert await kept_summary(session, "c") == twin.summary(NOW)
    assert await kept_ledger(session, "c") == twin.ledger(NOW)


async def test_a_purchase_posted_ahead_of_its_time_counts_with_the_next_one(
    session: WriteSession, deployment: Deployment
) -> None:
    facts = [bought("first", 30), bought("ahead", 20), bought("next", 10)]
    posted = (facts[0].at, facts[1].at - timedelta(hours=20), facts[2].at)
    for fact, at in zip(facts, posted, strict=True):
        await ingest(session, deployment, [as_item("c", fact)], at)
    twin = Twin(facts, deployment.calendar.zone)
    assert twin.summary(NOW)["purchase_days"] == 3
    assert await kept_summary(session, "c") == twin.summary(NOW)
    assert await kept_ledger(session, "c") == twin.ledger(NOW)


async def test_a_change_of_policy_brings_nobody_back(
    session: WriteSession, deployment: Deployment
) -> None:
    await ingest(
        session, deployment, [as_item("c", bought("first", 250))], NOW - timedelta(days=250)
    )
    at = NOW - timedelta(days=50)
    patient = [
        {**rule, "when": {**rule["when"], "value": 300}} if rule["stage"] == "churned" else rule
        for rule in FIVE_STAGES["rules"]
    ]
    document = {**FIVE_STAGES, "rules": patient}
    session.add(Policy(version=50, document=document, created_at=at))
    await session.flush()
    session.add(PolicyActivation(activation_id=2, version=50, activated_at=at))
    await session.flush()
    await deployment_settings.put(session, deployment_settings.ACTIVE_POLICY, 50)
    await deployment_settings.put(
        session, deployment_settings.POLICY_TIMELINE, deployment_settings.new_name()
    )
    await derivation.advance(session, deployment, ["c"], at)
    await ingest(
        session, deployment, [as_item("c", bought("second", 40))], NOW - timedelta(days=40)
    )
    assert [(each.to_stage, each.cause) for each in await kept_ledger(session, "c")] == [
        ("initial", "fact"), ("churned", "inactivity"), ("initial", "policy"), ("active", "fact"),
    ]  # fmt: skip
    answer, _ = await stages.get(
        session, deployment, "c", as_of=deployment.as_of(NOW), policy_version=None, now=NOW
    )
    assert answer["win_backs"] == {"count": 0, "last_at": None}
