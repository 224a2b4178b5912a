"""What a model says of customers, one at a time, by the twin."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select

from app.models import Model as ModelRow
from app.postgres.db import ReadSession
from app.scoring.purchases.registry import MODELS
from app.scoring.spend import gamma_gamma
from tests.simulation.customers import Life
from tests.twin_scores import Model, flat
from tests.twin_scores import scores as twin_scores

LEARNT_APART = (
    "probability", "rhythm_status", "purchases", "age", "inactivity", "expected_purchases",
    "clv", "value_tier", "value_to_save",
)  # fmt: skip
"""What the twin does not tell where churn risk was learnt apart from purchases."""


@dataclass(frozen=True)
class Scorer:
    """A stored model, as the twin takes it."""

    model_id: str
    model: Model
    horizon_days: int
    status: str
    is_plain: bool
    """Whether churn risk is that of the model of purchases."""

    def expected(self, life: Life, t: datetime) -> dict[str, Any]:
        found = twin_scores(life.twin, self.model, t, self.horizon_days)
        if abs(found["clv"] * 100 % 1 - 0.5) < 1e-6:
            del found["value_tier"]  # half a cent is rounded either way
        if not self.is_plain:
            for name in LEARNT_APART:
                found.pop(name, None)
        return found

    def check_card(self, card: dict[str, Any], life: Life, t: datetime) -> None:
        expected = self.expected(life, t)
        assert card["model_id"] == self.model_id
        assert card["status"] == ("insufficient_history" if self.status == "fallback" else "ok")
        for name, money in (
            ("clv", card["clv"]["value"]),
            ("value_to_save", card["value_to_save"]),
        ):
            if name in expected:
                assert float(money["amount"]) == pytest.approx(expected.pop(name), abs=0.00501)
        risk = card["churn_risk"]
        shown = {**flat(card), **card["model_inputs"], **risk}
        shown |= {each["code"]: each["contribution"] for each in risk["reasons"]}
        shown["expected_purchases"] = card["expected_purchases"]["value"]
        if not self.is_plain:
            # Those who return do so as often as the model says, however many they are.
            history, days = (expected["x"], expected["t_x"], expected["T"]), self.horizon_days
            alone = self.model.purchases.p_no_purchase(*history, horizon=days)
            count = self.model.purchases.expected_purchases(*history, horizon=days)
            share = (1 - risk["probability"]) / (1 - alone)
            expected["expected_purchases"] = float(count * share)
        found = {name: shown[name] for name in expected}
        assert found == {
            name: pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value
            for name, value in expected.items()
        }


async def read(session: ReadSession, model_id: str) -> Scorer | None:
    """Return a stored model; None if nobody had bought when it was fitted."""
    row = (
        await session.execute(
            select(*ModelRow.__table__.columns).where(ModelRow.model_id == model_id)
        )
    ).one()
    document = row.document
    if document["rfm_cuts"] is None:
        return None
    purchases, reference = document["purchases"], document["reference_customer"]
    tiers = document["tier_cuts"]
    model = Model(
        purchases=MODELS[purchases["kind"]].build(**purchases["parameters"]),
        spend=gamma_gamma.Model.from_params(**document["spend"]["parameters"]),
        evidence=document["spend"]["evidence"],
        cuts=document["rfm_cuts"],
        tier_cuts=(tiers["high"], tiers["medium"]),
        gap=document["population_gap_days"],
        reference=(reference["x"], reference["t_x"], reference["T"]),
        **_rhythm(document["rhythm"]),
    )
    return Scorer(
        model_id,
        model,
        document.get("horizon_days", 90),
        row.status,
        document.get("risk") is None,
    )


def _rhythm(stored: dict[str, Any] | None) -> dict[str, Any]:
    """Return what rhythm rests on; a model of before there was any has but the usual cuts."""
    if stored is None:
        return {"cuts_of_rhythm": (0.5, 0.1, 0.1), "first_gaps": None}
    cuts, gaps = stored["cuts"], stored["first_gaps"]
    return {
        "cuts_of_rhythm": (cuts["due"], cuts["overdue"], cuts["lost"]),
        "first_gaps": gaps and (gaps["days"], gaps["chance"]),
    }
