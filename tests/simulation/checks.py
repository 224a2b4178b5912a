"""What the service says, held against what follows from what it was told."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from app.deployment import Deployment
from app.models import Customer, InteractionDay, StageTransition
from app.postgres.db import ReadSession
from app.schemas.scores.lists import LookupAnswer, LookupRequest
from app.services.customers.customers import PROFILE_FIELDS
from app.services.ingest import profile_history
from app.services.scores import lookup
from app.services.stages import derived_state, recorded_stages, stages
from tests import slow_cards, slow_profile
from tests.kept import kept_summary
from tests.simulation.customers import Customers, Life
from tests.simulation.scoring import Scorer
from tests.slow_policy import Left, Slow

ROW = StageTransition.__table__.c


async def ledger(
    session: ReadSession, customers: Customers, customer_id: str, now: datetime
) -> None:
    """Check that the ledger is the beginning of the truth, at least up to where it must be."""
    rows = (
        await session.execute(
            select(*ROW)
            .where(ROW.customer_id == customer_id, ROW.voided_at.is_(None))
            .order_by(ROW.effective_at)
        )
    ).all()
    told, life = customers.told[customer_id], customers.life(customer_id)
    truth = life.changes(max([now, *(each.at for each in told.decisions)]))
    expected = [
        (*change, customers.timeline.at(change.at).version) for change in truth[: len(rows)]
    ]
    found = [
        (row.from_stage, row.to_stage, row.effective_at, row.cause, row.rule, row.policy_version)
        for row in rows
    ]
    assert found == expected
    missing = truth[len(rows) :]
    assert [change for change in missing if change.at <= told.recorded_until] == []
    for row in rows:
        assert row.evidence == approximate(life.evidence(row.effective_at))
    customer = (
        await session.execute(
            select(Customer.stage, Customer.stage_since).where(Customer.customer_id == customer_id)
        )
    ).one()
    last = (rows[-1].to_stage, rows[-1].effective_at) if rows else (life.beginning(), None)
    assert tuple(customer) == (life.called(last[0], last[1] or life.first, now), last[1])


def approximate(values: dict[str, Any]) -> dict[str, Any]:
    return {name: pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value
            for name, value in values.items()}  # fmt: skip


async def recorded(
    session: ReadSession, customers: Customers, customer_id: str, now: datetime
) -> None:
    """Check that the recorded stage is the true one."""
    statement = select(Customer.stage).where(Customer.customer_id == customer_id)
    assert await session.scalar(statement) == customers.life(customer_id).stage(now)


async def rebuilt(session: ReadSession, here: Deployment, customer_ids: Sequence[str]) -> None:
    """Check that a rebuild from the facts would find nothing else than what is kept."""
    compared = await derived_state.compare(session, here, customer_ids)
    assert {each: one.differences for each, one in compared.items() if one.differences} == {}
    assert compared.keys() == set(customer_ids)


async def everything(
    session: ReadSession, here: Deployment, customers: Customers, customer_id: str,
    now: datetime, moments: Sequence[datetime],
) -> None:  # fmt: skip
    """Check all that is kept and answered of one customer but the scores."""
    await ledger(session, customers, customer_id, now)
    if customers.told[customer_id].recorded_until >= now:
        await summary(session, customers, customer_id, now)
    await contacts(session, customers, customer_id)
    for at in moments:
        await stage(session, here, customers, customer_id, at, now)
        await profile(session, here, customers, customer_id, at)


async def profile(
    session: ReadSession, here: Deployment, customers: Customers, customer_id: str, at: datetime
) -> None:
    """Check the profile that was valid at an instant, by what is known now and was known then."""
    told, life = customers.told[customer_id], customers.life(customer_id)
    as_of = here.as_of(at)
    where = {"as_of": as_of, "now": at}
    for known in (None, at) if at >= told.created_at else (None,):
        answer = await profile_history.get(
            session, here, customer_id, recorded_at=None if known is None else as_of, **where
        )
        held = slow_profile.profile(slow_profile.held(told.said, at, known))
        assert {name: answer[name] for name in PROFILE_FIELDS} == {
            name: held.get(name) for name in PROFILE_FIELDS
        }
        if known is None and life.first <= at <= told.recorded_until:
            assert answer["stage"] == life.stage(at)


async def contacts(session: ReadSession, customers: Customers, customer_id: str) -> None:
    """Check the daily counts of interactions."""
    rows = await session.execute(
        select(InteractionDay.kind, InteractionDay.occurred_on, InteractionDay.count).where(
            InteractionDay.customer_id == customer_id
        )
    )
    person = customers.life(customer_id).person
    happened = Counter((each.kind, person.day(each.at)) for each in person.interactions)
    assert {(row[0], row[1]): row[2] for row in rows} == happened


async def summary(
    session: ReadSession, customers: Customers, customer_id: str, now: datetime
) -> None:
    """Check what is kept of the purchases of somebody who was just written or moved."""
    life = customers.life(customer_id)
    if not life.twin.facts:
        return
    kept = await kept_summary(session, customer_id)
    version = kept.pop("policy_version")
    document = next(each.document for each in customers.timeline.policies
                    if each.version == version)  # fmt: skip
    expected = life.twin.summary(now)
    del expected["policy_version"]
    assert kept == expected | _lives(Slow(life.person, document), now)


def _lives(slow: Slow, t: datetime) -> dict[str, Any]:
    _, lived = slow.purchases(t)
    return {
        "lives": len(lived),
        "life_started_on": lived[-1][0] if lived else None,
        "life_purchase_days": len(lived[-1]) if lived else 0,
    }


async def stage(
    session: ReadSession, here: Deployment, customers: Customers, customer_id: str,
    at: datetime, now: datetime,
) -> None:  # fmt: skip
    """Check the stage of one customer at an instant."""
    life = customers.life(customer_id)
    answer, _ = await stages.get(
        session, here, customer_id, as_of=here.as_of(at), policy_version=None, now=now
    )
    changes, slow = life.changes(at), life.under(at)
    values, lived = slow.purchases(at)
    bought, win_backs = list(values), life.win_backs(at)
    expected = {
        "stage": life.stage(at),
        "since": changes[-1].at if changes else None,
        "policy_version": customers.timeline.at(at).version,
        "purchase_days": len(bought),
        "last_purchase_on": bought[-1] if bought else None,
        "lives": len(lived),
        "life_started_on": lived[-1][0] if bought else None,
        "win_backs": {"count": len(win_backs), "last_at": win_backs[-1] if win_backs else None},
    }
    if not any(each.at <= at for each in life.decisions):
        expected["rule"] = slow.decide(at)[1]
    assert {name: answer[name] for name in expected} == expected
    assert told_why(answer) == life.why_left(at)


async def stages_of_now(
    session: ReadSession, here: Deployment, customer_ids: Sequence[str], now: datetime
) -> None:
    """Check that stages of now by what is recorded are those by whole histories, in all fields."""
    found = await recorded_stages.of_customers(session, here, [*customer_ids, "nobody"], now)
    assert found.known == set(customer_ids)
    for customer_id, answer in found.answers.items():
        assert answer == await stages.get(
            session, here, customer_id, as_of=here.as_of(now), policy_version=None, now=now
        )


def told_why(answer: dict[str, Any]) -> Left | None:
    """Return the churn record of an answer."""
    shown = answer["churn_record"]
    return None if shown is None else Left(shown["occurred_at"], shown["reason"])


async def cards(
    session: ReadSession, here: Deployment, customers: Customers, scorer: Scorer | None,
    at: datetime, now: datetime, asked: Sequence[str], *, alone: str,
) -> None:  # fmt: skip
    """Check the score cards of customers at an instant, looked up together, and of one `alone`."""
    request = LookupRequest.model_validate(
        {"customer_ids": [*asked, "nobody"], "as_of": at.isoformat()}
    )
    written = await lookup.find(session, here, request, now)
    found = LookupAnswer.model_validate_json(written).model_dump()
    assert found["unknown"] == ["nobody"]
    assert [item["customer_id"] for item in found["items"]] == list(asked)
    card = await slow_cards.asked(session, here, alone, as_of=here.as_of(at), now=now)
    for each in (card, *found["items"]):
        card_of(each, customers, customers.life(each["customer_id"]), scorer, at)


def card_of(
    card: dict[str, Any], customers: Customers, life: Life, scorer: Scorer | None, at: datetime
) -> None:
    summary = life.twin.summary(at)
    assert card["stage"] == life.stage(at)
    assert card["policy_version"] == customers.timeline.at(at).version
    assert told_why(card) == life.why_left(at)
    assert card["revenue"]["amount"] == summary["revenue"]
    assert (card["refund_excess"] or {"amount": 0})["amount"] == summary["refund_excess"]
    assert card["purchase_days"] == summary["purchase_days"]
    paid = summary["paid_days"]
    mean = (summary["revenue"] / paid).quantize(Decimal("0.01")) if paid else None
    assert (card["mean_spend"] or {"amount": None})["amount"] == mean
    if not summary["purchase_days"]:
        assert card["status"] == "never_purchased"
        assert card["value_to_save"]["amount"] == 0
        return
    if scorer is None:
        assert card["status"] == "no_model"
        return
    scorer.check_card(card, life, at)
