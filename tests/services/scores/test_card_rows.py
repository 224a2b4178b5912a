"""Cards written in JSON from columns, against the same card by card, the slow way."""

import json
import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import money
from app.deployment import Deployment
from app.postgres.db import WriteSession
from app.schemas.common.encoding import to_json
from app.schemas.common.types import format_amount
from app.schemas.scores.cards import Scores as Card
from app.scoring.spend.margins import MarginRates
from app.services.customer_base.margins import MarginSums
from app.services.models.model_documents import MARGIN
from app.services.scores import card_rows, cards, model_scores, pieces
from app.services.scores.model_scores import Scores
from app.services.stages import customer_snapshots, next_actions, why_churned
from app.services.stages.placement import Placement
from tests import slow_cards
from tests.services.scores.test_churn_risk import store_risk
from tests.services.stages.test_recorded_stages import known_customers, populate

MODEL = "model_of_cards"


def slow(
    deployment: Deployment, placed: Placement, scores: Scores | None, row: int, **more: Any
) -> dict[str, Any]:
    """Return a card as its schema writes it."""
    card = slow_cards.card(deployment, placed, scores, row)
    found: dict[str, Any] = json.loads(Card.model_validate({**card, **more}).model_dump_json())
    return found


def variants(scores: Scores) -> list[Scores]:
    """Return what is scored as it would be by models of other kinds."""
    model, inputs = scores.model, scores.inputs
    size = len(scores.probability)
    one = np.ones(size)
    sums = MarginSums(np.arange(size) % 2, one, -one, one)  # all is sold at a loss
    of_margins = replace(
        inputs, margins=sums, model=replace(model, margins=MarginRates(-0.5, 1.0, size))
    )
    unsure = replace(inputs, model=replace(model, status="fallback"))
    lasting = replace(inputs, model=replace(model, status="no_dropout_identified"))
    return [
        scores,
        replace(scores, inputs=of_margins, clv=-scores.clv,
                clv_terms=scores.clv_terms.model_copy(update={"basis": MARGIN})),
        replace(scores, inputs=unsure),
        replace(scores, inputs=lasting),
        replace(scores, placement=replace(scores.placement, usual_gap_days=None)),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
async def test_cards_are_what_they_are_one_by_one(
    session: WriteSession, deployment: Deployment, seed: int
) -> None:
    _, now = await populate(session, deployment, random.Random(seed))
    ids = await known_customers(session)
    for model_id in (None, MODEL):
        if model_id is not None:
            await store_risk(session, model_id)
        for days in (0, 300):
            as_of = deployment.as_of(now - timedelta(days=days))
            snapshots = await customer_snapshots.read(session, ids)
            assert snapshots is not None
            placed = await customer_snapshots.place(
                session, deployment, snapshots, snapshots.timeline, as_of
            )
            made = await model_scores.score(session, snapshots.model, placed, None)
            assert (made is None) is (model_id is None)
            actions = await next_actions.of_stages(
                session, deployment, placed.policy, placed.population, placed.stage, as_of
            )
            why = await why_churned.of_placement(session, deployment, snapshots.timeline, placed)
            alike = cards._alike(snapshots.model, placed, now)
            for scores in [None] if made is None else variants(made):
                for again in (False, True):  # said for the first time, and kept
                    inside = {ids[0]: ["high_value"]} if again else None
                    written = list(
                        card_rows.write(deployment, placed, scores, actions, why, alike, inside)
                    )
                    for row, mask in enumerate(actions.tolist()):
                        options = placed.policy.described[placed.stage[row]].actions
                        own = {
                            "next_actions": [
                                {"code": each.code, "name": each.name}
                                for place, each in enumerate(options)
                                if mask & 2**place
                            ],
                            "churn_record": why.get(placed.population.customer_ids[row]),
                            "segments": None
                            if inside is None
                            else inside.get(placed.population.customer_ids[row], []),
                        }
                        expected = slow(deployment, placed, scores, row, **own, **alike)
                        assert json.loads(written[row]) == expected, again


@given(st.integers(-(10**18), 10**18), st.sampled_from(["EUR", "JPY"]))
def test_money_is_written_as_its_schema_has_it(count: int, currency: str) -> None:
    of_cents, of_units = Decimal(count).scaleb(-2), money.to_amount(count)
    for found, amount in ((pieces.cents, of_cents), (pieces.units, of_units)):
        expected = {"amount": format_amount(amount), "currency": currency}
        assert json.loads(found(count, currency)) == expected
        assert pieces.money(amount, currency) == to_json(expected)


async def test_a_score_that_is_no_number_is_never_written() -> None:
    with pytest.raises(ValueError, match="finite"):
        card_rows._numbers(np.array([1.0, np.nan]))
