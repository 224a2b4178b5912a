"""Score cards and their sentences one by one, slow and plain: what is written is held to these."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from app.deployment import Deployment
from app.lifecycle.facts import Summary
from app.money import to_amount
from app.postgres.db import ReadSession
from app.schemas.scores.cards import Scores as Card
from app.scoring.rfm import rfm
from app.scoring.spend import clv
from app.services.models import clv_terms, model_responses
from app.services.models.model_documents import MARGIN
from app.services.scores import calls, card_sentences, cards, intervals, risk_answers
from app.services.scores.card_sentences import CardFigures
from app.services.scores.model_scores import Scores
from app.services.stages.placement import Placement

OF_MODEL = (
    "r", "f", "m", "rfm_score", "rfm_group", "rfm_class8", "model_inputs", "p_alive",
    "expected_purchases", "clv", "value_tier", "churn_risk", "value_to_save", "rhythm",
)  # fmt: skip


async def asked(
    session: ReadSession, deployment: Deployment, customer_id: str, **question: Any
) -> dict[str, Any]:
    """Return the card of a known customer as the service answers it."""
    found = await cards.of_customers(session, deployment, [customer_id], **question)
    return Card.model_validate_json(found.cards[customer_id]).model_dump()


def card(
    deployment: Deployment, placement: Placement, scores: Scores | None, row: int
) -> dict[str, Any]:
    """Return what a card says of one of those placed, but for actions and churn record."""
    made = _facts(deployment, placement, row, placement.population.summaries[row])
    if placement.bought[row]:
        if scores is None:
            made["status"] = "no_model"
        else:
            made |= _scored(deployment, scores, int(placement.bought[:row].sum()))
    stage = placement.policy.stage(made["stage"]).name
    uncertain = scores is not None and scores.model.little_history
    return {**made, "sentence": sentence(stage, made, uncertain=uncertain)}


def sentence(
    stage: Mapping[str, str], card: Mapping[str, Any], *, uncertain: bool = False
) -> dict[str, str]:
    """Return the sentence of a card or of a row of a list, from what it tells itself.

    `expected_purchases` is a number with its horizon beside it, as in cards, or by itself.
    """
    rhythm, expected = card["rhythm"] or {}, card["expected_purchases"]
    if not isinstance(expected, Mapping):
        expected = {"value": expected, "horizon_days": card.get("horizon_days")}
    to_save = card["value_to_save"]
    return card_sentences.sentence(
        CardFigures(
            stage=stage,
            purchase_days=card["purchase_days"],
            days_silent=rhythm.get("days_silent", card.get("days_since_last_purchase")),
            usual_gap_days=rhythm.get("usual_gap_days"),
            rhythm=rhythm.get("status"),
            chance_if_active=rhythm.get("chance_if_active"),
            expected_purchases=expected["value"],
            horizon_days=expected["horizon_days"],
            call_reasons=tuple(card["call_reasons"]),
            to_save=None if to_save is None else (to_save["amount"], to_save["currency"]),
            uncertain=uncertain,
        )
    )


def _facts(
    deployment: Deployment, placement: Placement, row: int, summary: Summary
) -> dict[str, Any]:
    """Return what needs no model; the rest is null until one fills it in."""
    bought = summary.state.purchase_days > 0
    silent = int(placement.days_since_last_purchase[row])
    card: dict[str, Any] = dict.fromkeys(OF_MODEL)
    card |= {
        "customer_id": placement.population.customer_ids[row],
        "status": None if bought else "never_purchased",
        "stage": placement.policy.stages[placement.stage[row]],
        "days_since_last_purchase": silent if bought else None,
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
        card["mean_spend"] = deployment.money(mean.quantize(Decimal("0.01")))
    if summary.refund_excess:
        card["refund_excess"] = deployment.money(to_amount(summary.refund_excess))
    return card


def _scored(deployment: Deployment, scores: Scores, row: int) -> dict[str, Any]:
    """Return what the model says of one of the buyers."""
    model, inputs = scores.model, scores.inputs
    identified = model.dropout_identified
    x, t_x, age = inputs.history
    r, f, m = int(scores.r[row]), int(scores.f[row]), int(scores.m[row])
    return {
        "status": "insufficient_history" if model.status == "fallback" else "ok",
        "r": r,
        "f": f,
        "m": m,
        "rfm_score": r + f + m,
        "rfm_group": rfm.GROUPS[scores.group[row]],
        "rfm_class8": rfm.CLASSES8[scores.class8[row]],
        "rfm_few_classes": model_responses.few_classes(model.rfm_classes),
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
            "interval": {
                end: int(getattr(intervals.of_purchases(scores), end)[row])
                for end in ("low", "high")
            },
        },
        "clv": _lifetime(deployment, scores, row),
        "value_tier": clv.TIERS[scores.tier[row]],
        "value_to_save": _cents(deployment, scores.value_to_save[row]),
        "withheld": {} if identified else {"p_alive": "no_dropout_identified"},
        "churn_risk": risk_answers.churn_risk(scores, row),
        "rhythm": risk_answers.rhythm_of(scores, row),
        "call_reasons": list(calls.SETS[scores.calls[row]]),
    }


def _lifetime(deployment: Deployment, scores: Scores, row: int) -> dict[str, Any]:
    """Return the lifetime value of a buyer, and what to beware of in it."""
    model, terms, sums = scores.model, scores.clv_terms, scores.inputs.margins
    of_all = terms.basis == MARGIN and sums is not None and not sums.purchases[row]
    told = clv_terms.head(model, terms, ["population_margin_rate"] if of_all else ())
    found = intervals.of_values(scores)
    ends = {end: _cents(deployment, getattr(found, end)[row]) for end in ("low", "high")}
    return {**told, "value": _cents(deployment, scores.clv[row]), "interval": ends}


def _cents(deployment: Deployment, value: float) -> dict[str, Any]:
    return deployment.money(Decimal(round(float(value) * 100)) / 100)
