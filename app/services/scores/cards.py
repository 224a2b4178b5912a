"""The score cards of customers, computed for the asked instant from the facts up to it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np

from app import money
from app.days import AsOf
from app.db import ReadSession
from app.deployment import Deployment
from app.lifecycle.dated import Floats
from app.lifecycle.facts import Summary
from app.money import to_amount
from app.scoring.churn import rhythm
from app.scoring.rfm import rfm
from app.scoring.spend import clv
from app.services.common import threads
from app.services.models import clv_terms, model_responses
from app.services.models.clv_terms import AskedTerms
from app.services.models.fitted_models import FittedModel
from app.services.models.model_documents import MARGIN
from app.services.scores import calls, card_sentences, model_scores, reason_texts
from app.services.scores.model_scores import Scores
from app.services.stages import customer_snapshots, next_actions, why_churned
from app.services.stages.placement import Placement

CENT = Decimal("0.01")
NO_DROPOUT = "no_dropout_identified"


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """The cards of those of some customers who are known, and the model that made them."""

    cards: dict[str, dict[str, Any]]
    model: FittedModel | None


async def get(
    session: ReadSession,
    deployment: Deployment,
    customer_id: str,
    *,
    as_of: AsOf,
    horizon_days: int | None = None,
    asked: AskedTerms | None = None,
    now: datetime,
) -> dict[str, Any]:
    """Return the score card of a customer; horizon and terms are those of the model if None."""
    found = await of_customers(
        session, deployment, [customer_id], as_of=as_of, horizon_days=horizon_days, asked=asked,
        now=now, pointer="query:",
    )  # fmt: skip
    if not found.cards:
        raise customer_snapshots.unknown(customer_id)
    return found.cards[customer_id]


async def of_customers(
    session: ReadSession,
    deployment: Deployment,
    customer_ids: Sequence[str],
    *,
    as_of: AsOf,
    horizon_days: int | None = None,
    asked: AskedTerms | None = None,
    now: datetime,
    pointer: str = "/",
    rfm_cuts: Mapping[str, list[float]] | None = None,
) -> Answered:
    """Return the score cards of customers, made at once on columns; the unknown have none."""
    snapshots = await customer_snapshots.read(session, customer_ids)
    if snapshots is None:
        return Answered({}, None)
    timeline, model = snapshots.timeline, snapshots.model
    model = model and model.with_cuts(rfm_cuts or {})
    terms = clv_terms.of_question(model, asked, pointer=pointer)
    placed = await customer_snapshots.place(session, deployment, snapshots, timeline, as_of)
    actions = await next_actions.of_placement(session, deployment, placed)
    scored = await model_scores.score(
        session, model, placed, horizon_days, terms=terms, complained=snapshots.complained
    )
    made = await threads.compute(len(placed), cards, deployment, placed, scored)
    why = {}
    if snapshots.recorded_churn:
        why = await why_churned.of_placement(session, deployment, timeline, placed)
    alike = common(model, placed, now)
    found = {}
    for card, own in zip(made, actions, strict=True):
        record = why.get(card["customer_id"])
        found[card["customer_id"]] = card | alike | {"next_actions": own, "churn_record": record}
    return Answered(found, model)


def common(model: FittedModel | None, placement: Placement, now: datetime) -> dict[str, Any]:
    """Return what all cards of one answer say alike."""
    as_of = placement.as_of.at
    return {
        "lookahead": model is not None and model.as_of > as_of,
        "model_id": model and model.model_id,
        "model_as_of": model and model.as_of,
        "policy_version": placement.policy.version,
        "as_of": as_of,
        "computed_at": now,
    }


def cards(
    deployment: Deployment, placement: Placement, scores: Scores | None
) -> list[dict[str, Any]]:
    """Return the card of each customer; `scores` are those of the buyers, None without a model."""
    summaries = enumerate(placement.population.summaries)
    made = [_facts(deployment, placement, row, summary) for row, summary in summaries]
    buyers = np.flatnonzero(placement.bought).tolist()
    if scores is None:
        for row in buyers:
            made[row]["status"] = "no_model"
    else:
        found = _scores(deployment, scores, len(buyers))
        for row, own in zip(buyers, found, strict=True):
            made[row] |= own
    uncertain = scores is not None and scores.model.little_history
    for card, stage in zip(made, placement.stage.tolist(), strict=True):
        name = placement.policy.described[stage].name
        card["sentence"] = card_sentences.of_answer(name, card, uncertain=uncertain)
    return made


def _facts(
    deployment: Deployment, placement: Placement, row: int, summary: Summary
) -> dict[str, Any]:
    """Return what needs no model; the rest is null until one fills it in."""
    bought = summary.state.purchase_days > 0
    card: dict[str, Any] = dict.fromkeys(_MODEL_FIELDS)
    card |= {
        "customer_id": placement.population.customer_ids[row],
        "status": None if bought else "never_purchased",
        "stage": placement.policy.stages[placement.stage[row]],
        "days_since_last_purchase": int(placement.days_since_last_purchase[row])
        if bought
        else None,
        "purchase_days": summary.state.purchase_days,
        "mean_spend": None,
        "revenue": deployment.money(to_amount(summary.revenue)),
        "refund_excess": None,
        "call_reasons": [],
        "value_to_save": None if bought else deployment.money(Decimal(0)),
        "rfm_few_classes": [],
        "withheld": {},
    }
    if summary.paid_days:
        mean = to_amount(summary.revenue) / summary.paid_days
        card["mean_spend"] = deployment.money(mean.quantize(CENT))
    if summary.refund_excess:
        card["refund_excess"] = deployment.money(to_amount(summary.refund_excess))
    return card


_MODEL_FIELDS = (
    "r", "f", "m", "rfm_score", "rfm_group", "rfm_class8", "model_inputs", "p_alive",
    "expected_purchases", "clv", "value_tier", "churn_risk", "value_to_save", "rhythm",
)  # fmt: skip


def cents(value: float) -> Decimal:
    """Return a computed value of money, rounded as it is shown."""
    return _all_cents(np.asarray([value]))[0]


def _all_cents(values: Floats) -> list[Decimal]:
    return [Decimal(each).scaleb(-2) for each in money.cents(values).tolist()]


def _usual_gap(placement: Placement, row: int) -> float | None:
    return None if placement.usual_gap_days is None else float(placement.usual_gap_days[row])


def churn_risk(scores: Scores, row: int) -> dict[str, Any]:
    """Return the churn risk of one customer, with its reasons."""
    model = scores.model
    return {
        **kind_of_risk(model, scores.horizon_days),
        "probability": float(scores.probability[row]),
        "base_log_odds": float(scores.reasons.base),
        "log_odds": float(scores.reasons.total[row]),
        "reasons": reason_texts.explain(scores.inputs, scores.reasons, row),
    }


def kind_of_risk(model: FittedModel, horizon_days: int) -> dict[str, Any]:
    """Return what holds for the churn risk of every customer of a model."""
    own = model.risk
    return {
        "horizon_days": horizon_days,
        "kind": model.churn_kind if own is None else own.kind,
        "status": model.risk_status,
        "extrapolated": own is not None and own.is_extrapolated(horizon_days),
    }


def rhythm_of(scores: Scores, row: int) -> dict[str, Any]:
    """Return where one customer stands against the own usual gap."""
    return rhythm_answer(
        rhythm.STATUSES[scores.rhythm[row]],
        _usual_gap(scores.placement, row),
        int(scores.placement.days_since_last_purchase[row]),
        float(scores.chance_if_active[row]),
    )


def rhythm_answer(
    status: str, usual_gap: float | None, silent: int, chance: float
) -> dict[str, Any]:
    """Return a rhythm as every answer shows it."""
    return {
        "status": status,
        "usual_gap_days": usual_gap,
        "days_silent": silent,
        "chance_if_active": chance,
    }


def _scores(deployment: Deployment, scores: Scores, buyers: int) -> Iterator[dict[str, Any]]:
    """Yield what the model says of each buyer; what it says of all alike is found once."""
    model, inputs = scores.model, scores.inputs
    identified = model.dropout_identified
    status = "insufficient_history" if model.status == "fallback" else "ok"
    few_classes = model_responses.few_classes(model.rfm_classes)
    x, t_x, age = inputs.history
    lifetime, to_save = _lifetimes(deployment, scores), _all_cents(scores.value_to_save)
    for row in range(buyers):
        r, f, m = int(scores.r[row]), int(scores.f[row]), int(scores.m[row])
        yield {
            "status": status,
            "r": r,
            "f": f,
            "m": m,
            "rfm_score": r + f + m,
            "rfm_group": rfm.GROUPS[scores.group[row]],
            "rfm_class8": rfm.CLASSES8[scores.class8[row]],
            "rfm_few_classes": few_classes,
            "model_inputs": {
                "x": int(x[row]),
                "t_x": float(t_x[row]),
                "T": float(age[row]),
                "unit": model.time_unit,
            },
            "p_alive": float(scores.p_alive[row]) if identified else None,
            "expected_purchases": {
                "horizon_days": scores.horizon_days,
                "value": float(scores.expected_purchases[row]),
            },
            "clv": lifetime[row],
            "value_tier": clv.TIERS[scores.tier[row]],
            "value_to_save": deployment.money(to_save[row]),
            "withheld": {} if identified else {"p_alive": NO_DROPOUT},
            "churn_risk": churn_risk(scores, row),
            "rhythm": rhythm_of(scores, row),
            "call_reasons": list(calls.SETS[scores.calls[row]]),
        }


def _lifetimes(deployment: Deployment, scores: Scores) -> list[dict[str, Any]]:
    """Return the lifetime value of each buyer, and what to beware of in it."""
    model, terms, sums = scores.model, scores.clv_terms, scores.inputs.margins
    values = _all_cents(scores.clv)
    own = np.ones(len(values), bool)
    if terms.basis == MARGIN and sums is not None:
        own = sums.purchases > 0
    told = clv_terms.head(model, terms, ["population_margin_rate"]), clv_terms.head(model, terms)
    return [
        {**told[knows], "value": deployment.money(value)}
        for knows, value in zip(own.tolist(), values, strict=True)
    ]
