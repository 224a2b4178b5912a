"""The score card of one customer, computed for the asked instant from the facts up to it."""

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np

from app.days import AsOf, from_day
from app.db import ReadSession
from app.deployment import Deployment, to_amount
from app.lifecycle.policy import Policy
from app.scoring.churn import contributions
from app.scoring.churn.churn_risk import Reasons
from app.scoring.histories.features import Features
from app.scoring.rfm import rfm
from app.scoring.spend import clv
from app.services import (
    learning,
    risk_columns,
    risk_learning,
    risk_words,
    score_cards,
    score_columns,
    standings,
)
from app.services.learning import Learnt
from app.services.populations import Population
from app.services.risk_words import count
from app.services.score_cards import Cards, Lifecycle

CENT = Decimal("0.01")
NO_DROPOUT = "no_dropout_identified"


async def get(
    session: ReadSession,
    here: Deployment,
    customer_id: str,
    *,
    as_of: AsOf,
    horizon_days: int | None = None,
    now: datetime,
) -> dict[str, Any]:
    """Return the score card of a customer; without a horizon, over that of the model."""
    standing = await standings.get(session, customer_id)
    policy, learnt = standing.regime.at(as_of.micros), standing.learnt
    people, where, actions = await standings.look(session, here, standing, standing.regime, as_of)
    card = facts_of(here, policy, people, where)
    card |= {
        "next_actions": actions,
        "lookahead": learnt is not None and learnt.as_of > as_of.at,
        "model_id": standing.model_id,
        "model_as_of": learnt and learnt.as_of,
        "policy_version": policy.version,
        "as_of": as_of.at,
        "computed_at": now,
    }
    if card["status"] is None:
        if learnt is None or learnt.rfm_cuts is None:
            card["status"] = "no_model"
        else:
            card |= await scored(session, here, learnt, people, where, as_of, horizon_days)
    return card


def facts_of(
    here: Deployment, policy: Policy, people: Population, where: Lifecycle
) -> dict[str, Any]:
    """Return what needs no model; the rest is null until one fills it in."""
    summary = people.summaries[0]
    bought = summary.state.purchase_days > 0
    card: dict[str, Any] = dict.fromkeys(_MODEL_FIELDS)
    card |= {
        "customer_id": people.customer_ids[0],
        "status": None if bought else "never_purchased",
        "stage": policy.stages[where.stage[0]],
        "days_since_last_purchase": int(where.days_silent[0]) if bought else None,
        "purchase_days": summary.state.purchase_days,
        "mean_spend": None,
        "revenue": money(here, to_amount(summary.revenue)),
        "refund_excess": None,
        "usual_gap_days": _usual_gap(where) if bought else None,
        "at_risk": None if where.at_risk is None else bool(where.at_risk[0]),
        "value_at_risk": None if bought else money(here, Decimal(0)),
        "withheld": {},
    }
    if summary.paid_days:
        mean = to_amount(summary.purchase_value) / summary.paid_days
        card["mean_spend"] = money(here, mean.quantize(CENT))
    if summary.refund_excess:
        card["refund_excess"] = money(here, to_amount(summary.refund_excess))
    return card


_MODEL_FIELDS = (
    "r", "f", "m", "rfm_score", "rfm_group", "rfm_class8", "model_inputs", "p_alive",
    "expected_purchases", "clv", "value_tier", "churn_risk", "value_at_risk",
)  # fmt: skip


def money(here: Deployment, amount: Decimal) -> dict[str, Any]:
    """Return an amount of the deployment's currency."""
    return {"amount": amount, "currency": here.currency}


def cents(value: float) -> Decimal:
    """Return a computed value of money, rounded as it is shown."""
    return Decimal(int(score_columns.cents(np.asarray(value)))).scaleb(-2)


async def scored(
    session: ReadSession,
    here: Deployment,
    learnt: Learnt,
    people: Population,
    where: Lifecycle,
    as_of: AsOf,
    horizon_days: int | None,
) -> dict[str, Any]:
    """Return what the model says of the one customer, who has a purchase day."""
    horizon = horizon_days or learnt.horizon_days
    known = await risk_columns.read(session, learnt, people, as_of)
    own = score_cards.cards(learnt, people, where, as_of, horizon, known)
    told = explain(learnt, people, _usual_gap(where), own.reasons, 0, as_of, known)
    risk = {**describe_risk(learnt, own, 0, horizon), "reasons": told}
    return {**model_of(here, learnt, people, as_of, own, horizon), "churn_risk": risk}


def describe_risk(learnt: Learnt, scored: Cards, row: int, horizon_days: int) -> dict[str, Any]:
    """Return the churn risk of one customer, but for its reasons."""
    level = contributions.LEVELS[scored.level[row]]
    return {
        **kind_of_risk(learnt, horizon_days),
        "probability": float(scored.probability[row]),
        "level": level,
        "meaning": meanings(learnt).get(level),
        "base_log_odds": float(scored.reasons.base),
        "log_odds": float(scored.reasons.total[row]),
    }


def kind_of_risk(learnt: Learnt, horizon_days: int) -> dict[str, Any]:
    """Return what holds for the churn risk of every customer of a model."""
    own = learnt.risk
    return {
        "horizon_days": horizon_days,
        "kind": learnt.churn_kind if own is None else own.kind,
        "status": learnt.risk_status,
        "extrapolated": own is not None and own.is_extrapolated(horizon_days),
    }


def meanings(learnt: Learnt) -> dict[str, str | None]:
    """Return what each level means; empty where levels follow the silence."""
    if learnt.bands is None or not learnt.bands.learnt:
        return {}
    return {
        band.name: risk_learning.meaning(asdict(band), learnt.horizon_days)
        for band in learnt.bands.bands
    }


def model_of(
    here: Deployment,
    learnt: Learnt,
    people: Population,
    as_of: AsOf,
    scored: Cards,
    horizon_days: int,
) -> dict[str, Any]:
    """Return what the model says of the one customer, but for the churn risk."""
    r, f, m = int(scored.r[0]), int(scored.f[0]), int(scored.m[0])
    told = learnt.dropout_identified
    return {
        "status": "insufficient_history" if learnt.status == "fallback" else "ok",
        "r": r,
        "f": f,
        "m": m,
        "rfm_score": r + f + m,
        "rfm_group": rfm.GROUPS[scored.group[0]],
        "rfm_class8": rfm.CLASSES8[scored.class8[0]],
        "model_inputs": {
            "x": int(people.x[0]),
            "t_x": float(people.t_x[0] / learnt.unit),
            "T": float(people.T(as_of)[0] / learnt.unit),
            "unit": learnt.time_unit,
        },
        "p_alive": float(scored.p_alive[0]) if told else None,
        "expected_purchases": {
            "horizon_days": horizon_days,
            "value": float(scored.expected_purchases[0]),
        },
        "clv": {
            "horizon_days": learning.CLV_HORIZON_DAYS,
            **money(here, cents(scored.clv[0])),
            "annual_discount": learning.ANNUAL_DISCOUNT,
        },
        "value_tier": clv.TIERS[scored.tier[0]],
        "value_at_risk": money(here, cents(scored.value_at_risk[0])) if told else None,
        "withheld": {} if told else dict.fromkeys(("p_alive", "value_at_risk"), NO_DROPOUT),
    }


def _usual_gap(where: Lifecycle) -> float | None:
    return None if where.usual_gap is None else float(where.usual_gap[0])


def explain(
    learnt: Learnt,
    people: Population,
    usual_gap: float | None,
    parts: Reasons,
    row: int,
    as_of: AsOf,
    known: Features | None = None,
) -> list[dict[str, Any]]:
    """Return the reasons of one customer, the weightiest first, in words and numbers."""
    if learnt.risk is not None and known is not None:
        return risk_words.explain(learnt, known, usual_gap, parts, row, as_of)
    assert learnt.reference_days is not None
    usual_x, usual_t, usual_age = learnt.reference_days
    columns = people.columns
    bought = int(columns.purchase_days[row])
    silent = as_of.day - int(columns.last_day[row])
    age = int(people.T(as_of)[row])
    own_gap = "" if usual_gap is None else f"; usually {usual_gap:.0f}"
    reasons: list[tuple[str, int, float, str, dict[str, Any]]] = [
        ("purchases", bought, usual_x + 1,
         f"{count(bought, 'purchase day')}; a typical customer has {usual_x + 1:.0f}",
         {"purchase_days": bought}),
        ("age", age, usual_age,
         f"customer for {count(age, 'day')}; a typical one for {usual_age:.0f}",
         {"first_purchase_on": from_day(columns.first_day[row]).isoformat()}),
        ("silence", silent, usual_age - usual_t, f"{count(silent, 'day')} silent{own_gap}",
         {"last_purchase_on": from_day(columns.last_day[row]).isoformat()}),
    ]  # fmt: skip
    told = [
        {"code": code, "contribution": float(parts.parts[code][row]), "value": value,
         "reference": reference, "text": text, "facts": facts}
        for code, value, reference, text, facts in reasons
    ]  # fmt: skip
    return sorted(told, key=lambda reason: -abs(reason["contribution"]))
