"""What churn risk is learnt from of interactions: answers on their scales, contacts that are ones.

By definition: each customer is looked at by itself, in the words of the declarations.
"""

import math
import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from app.deployment import Deployment
from app.lifecycle.kinds import Kind, Kinds, Scale, read
from app.lifecycle.presets.kinds import CORE
from app.postgres.db import WriteSession
from app.schemas.ingest.interactions import InteractionIn
from app.schemas.interaction_kinds import KindIn
from app.scoring.histories.features import features_at
from app.services.common import interaction_kinds
from app.services.customer_base import training_data
from app.services.ingest import interactions
from app.services.models import comparison, model_store
from app.services.models.horizons import Horizon
from tests.database import NOW
from tests.kept import as_item, ingest
from tests.twin import Fact

HORIZON = Horizon(90, "setting")
SCALES = {"survey": (0, 10), "csat": (1, 5), "nps": (0, 10)}
NO_CONTACTS = ("mention", "payment_overdue")
KINDS = (*SCALES, "complaint", "call", *NO_CONTACTS, "my_own")


def told(rng: random.Random, each: str) -> list[dict[str, Any]]:
    """Return interactions of a customer, several of a day, some on the last one."""
    found = []
    for number in range(rng.choice((0, 1, 3, 8, 14))):
        kind = rng.choice(KINDS)
        low, high = SCALES.get(kind, (0, 100))
        at = NOW - timedelta(days=rng.choice((0, 0, 1, 5, 5, 60)), minutes=rng.randrange(300))
        score = rng.choice((None, low, high, (low + 3 * high) / 4))
        found.append({"customer_id": each, "interaction_id": f"i{number}", "kind": kind,
                      "occurred_at": at.isoformat(), "score": score})  # fmt: skip
    return found


def day(item: dict[str, Any], deployment: Deployment) -> int:
    return deployment.calendar.day_of(datetime.fromisoformat(item["occurred_at"]))


def satisfaction(items: list[dict[str, Any]], deployment: Deployment) -> float:
    """Return the mean of the answers of the last day with any, each on its scale."""
    answers = [(day(item, deployment), item["score"], SCALES[item["kind"]]) for item in items
               if item["kind"] in SCALES and item["score"] is not None]  # fmt: skip
    last = max((when for when, _, _ in answers), default=None)
    of_last = [(score - low) / (high - low) for when, score, (low, high) in answers if when == last]
    return sum(of_last) / len(of_last) if of_last else math.nan


def silence(items: list[dict[str, Any]], deployment: Deployment) -> float:
    """Return the days since the last contact."""
    days = [day(item, deployment) for item in items if item["kind"] not in NO_CONTACTS]
    return deployment.as_of(NOW).day - max(days) if days else math.nan


async def tell(session: WriteSession, deployment: Deployment, items: list[dict[str, Any]]) -> None:
    if items:
        batch = [InteractionIn.model_validate(item) for item in items]
        await interactions.ingest(session, deployment, batch, atomic=True, now=NOW)


async def bought(session: WriteSession, deployment: Deployment, each: str, ago: int = 100) -> None:
    fact = Fact(("default", f"p{ago}"), NOW - timedelta(days=ago), Decimal(5))
    await ingest(session, deployment, [as_item(each, fact)], NOW)


@pytest.mark.parametrize("seed", range(4))
async def test_answers_and_contacts_are_those_of_their_definition(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    items = {f"c{number}": told(rng, f"c{number}") for number in range(10)}
    for each, own in items.items():
        await bought(session, deployment, each)
        await tell(session, deployment, own)
    as_of = deployment.as_of(NOW)
    past = await training_data.read_past(session, list(items), as_of, CORE)
    who, known = features_at(past.facts, as_of=as_of.day)
    assert who.tolist() == list(range(10))
    names = sorted(items)
    np.testing.assert_allclose(
        known.satisfaction, [satisfaction(items[each], deployment) for each in names], rtol=1e-12
    )
    np.testing.assert_array_equal(
        known.contact_silence, [silence(items[each], deployment) for each in names]
    )
    assert np.isfinite(known.satisfaction).any()


async def test_a_model_keeps_the_scales_that_it_was_learnt_with(
    session: WriteSession, deployment: Deployment
) -> None:
    """A later change of a kind is seen by the next model alone."""
    await bought(session, deployment, "c1")
    answer = {"customer_id": "c1", "interaction_id": "i", "kind": "csat", "score": 2,
              "occurred_at": (NOW - timedelta(days=3)).isoformat()}  # fmt: skip
    await tell(session, deployment, [answer])
    as_of = deployment.as_of(NOW)
    scale = {"min": 0, "max": 2, "good_from": 2}

    async def learnt(name: str) -> Kinds:
        made = await model_store.fit(session, None, "day", as_of, NOW, name=name, horizon=HORIZON)
        return (await model_store.load(session, made)).interaction_kinds

    async def seen(kinds: Kinds) -> float:
        past = await training_data.read_past(session, ["c1"], as_of, kinds)
        return float(features_at(past.facts, as_of=as_of.day)[1].satisfaction[0])

    before = await learnt("op_before")
    await interaction_kinds.put(
        session, "csat", KindIn.model_validate({"scale": scale}), if_match=None, now=NOW
    )
    after = await learnt("op_after")
    assert before == CORE
    assert after["csat"] == Kind("none", contact=True, scale=Scale(0, 2, 2))
    assert (await seen(before), await seen(after)) == (0.25, 1.0)
    old = {"survey": {"phase": "none", "contact": True,
                      "scale": {"min": 0, "max": 4.5, "good_from": 4.5}}}  # fmt: skip
    assert math.isnan(await seen(read(old)))


async def test_each_model_is_held_to_what_it_has_learnt_to_see(
    session: WriteSession, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where kinds were declared otherwise, the past is read once more for the one in force."""
    for number in range(12):
        for ago in (300, 200 - number, 3 * number + 1):
            await bought(session, deployment, f"c{number}", ago)
        answer = {"customer_id": f"c{number}", "interaction_id": "i", "kind": "csat",
                  "occurred_at": (NOW - timedelta(days=160)).isoformat(),
                  "score": 1 + number % 5}  # fmt: skip
        await tell(session, deployment, [answer])
    as_of = deployment.as_of(NOW)
    first = await model_store.fit_keeping(
        session, None, "day", as_of, NOW, name="op_first", horizon=HORIZON
    )
    await model_store.activate(session, first.model_id, NOW)
    scale = {"min": 1, "max": 9, "good_from": 7}
    await interaction_kinds.put(
        session, "csat", KindIn.model_validate({"scale": scale}), if_match=None, now=NOW
    )
    second = await model_store.fit_keeping(
        session, None, "day", as_of, NOW, name="op_second", horizon=HORIZON
    )
    pasts: list[Any] = []
    judge = comparison.judge

    def judged(candidate: Any, active: Any, past: Any, of_active: Any, *more: Any) -> Any:
        pasts.extend((past, of_active))
        return judge(candidate, active, past, of_active, *more)

    monkeypatch.setattr(comparison, "judge", judged)
    await comparison.compare(session, second, None, as_of.day)
    past, of_active = pasts
    assert (of_active.kinds, past.kinds["csat"].scale) == (CORE, Scale(1, 9, 7))
    shares = [features_at(each.facts, as_of=as_of.day)[1].satisfaction for each in pasts]
    np.testing.assert_allclose(shares[0] * 2, shares[1])
    await comparison.compare(session, first, None, as_of.day)
    assert pasts[2] is pasts[3]
