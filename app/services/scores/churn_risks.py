"""Customers of a run whom one can still do something for, each with reasons.

By default those of whom something is amiss: overdue, buying less often or for less, or with an open
complaint. The lost are not among them, nor is anybody whom somebody has put among those who have
left; whom only the rules of the policy put there may be, as rhythm decides it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import numpy as np
from sqlalchemy import func, or_

from app.days import AsOf, to_day
from app.db import AnyRow, ReadSession
from app.deployment import Deployment
from app.lifecycle.facts import EMPTY
from app.lifecycle.policy import Policy
from app.models import Customer, Score
from app.services.common.paging import PageRequest, Sort, choose_sort, fetch
from app.services.customer_base import populations, purchase_summaries
from app.services.customer_base.populations import Population
from app.services.models import fitted_models, model_inputs, model_store
from app.services.models.fitted_models import FittedModel
from app.services.policies import policies
from app.services.scores import card_sentences, lists, reason_texts
from app.services.scores.lists import Asked
from app.services.scores.run_summaries import RunSummary
from app.services.stages import next_actions

Include = Literal["lost", "all"]
SAME_LOG_ODDS, SAME_PROBABILITY = 1e-6, 1e-12
"""How far apart two computations from the same facts may lie."""
_UNEXPLAINED: dict[str, Any] = {
    "base_log_odds": None,
    "log_odds": None,
    "reasons": [],
    "facts_changed": True,
}
"""Of a customer who has no purchase left."""
_COLUMNS: list[Any] = [
    Score.customer_id,
    Customer.name,
    Score.stage,
    Score.rhythm,
    Score.chance_if_active,
    Score.call_reasons,
    Score.value_tier,
    Score.purchase_days,
    Score.first_purchase_on,
    Score.last_purchase_on,
    Score.usual_gap_days,
    Score.probability,
    Score.expected_purchases,
    Score.value_to_save,
    Score.clv,
    Score.reason,
]
SORTS = {
    "-value_to_save": Sort((Score.value_to_save, Score.customer_id), descending=True),
    "value_to_save": Sort((Score.value_to_save, Score.customer_id)),
    "-probability": Sort((Score.probability, Score.customer_id), descending=True),
    "probability": Sort((Score.probability, Score.customer_id)),
    "customer_id": Sort((Score.customer_id,)),
}


async def search(
    session: ReadSession,
    deployment: Deployment,
    page: PageRequest,
    asked: Asked,
    *,
    include: Include | None,
) -> dict[str, Any]:
    """Return a page of a run: the one asked for, that of the cursor, or the published one."""
    run = await lists.run_of(session, page, asked)
    if run is None:
        return lists.EMPTY
    model = await model_store.load(session, run.model_id)
    told = RunSummary.load(run.summary).tells_value_to_save
    ranked = "-value_to_save" if told else "-probability"
    allowed = {name: sort for name, sort in SORTS.items() if told or "value_to_save" not in name}
    name, sort = choose_sort(page, allowed, ranked)
    bound_to = {"list": "churn_risks", "sort": name, "=run_id": run.run_id,
                "include": include, **asked.bound_to}  # fmt: skip
    policy = await policies.get(session, run.policy_version)
    statement = lists.chosen(_COLUMNS, run.run_id, asked, profiles=True)
    statement = statement.where(Score.probability.is_not(None))
    if include != "all" and asked.filters.get("rhythm") is None:
        listed = func.cardinality(Score.call_reasons) > 0
        statement = statement.where(
            listed if include is None else or_(listed, Score.rhythm == "lost")
        )
    rows, cursor = await fetch(session, statement.add_columns(*sort.columns), page, sort, bound_to)
    return {
        "items": await _items(session, deployment, model, policy, run, rows, asked) if rows else [],
        "next_cursor": cursor,
        **lists.head(run, model),
    }


async def _items(
    session: ReadSession,
    deployment: Deployment,
    model: FittedModel,
    policy: Policy,
    run: AnyRow,
    rows: Sequence[AnyRow],
    asked: Asked,
) -> list[dict[str, Any]]:
    as_of = deployment.as_of(run.as_of)
    actions = await _actions(session, deployment, policy, rows, asked.now)
    explained = await _reasons(session, model, policy, run, rows, as_of)
    items = [
        {
            "customer_id": row.customer_id,
            "name": row.name,
            "stage": row.stage,
            "rhythm": lists.rhythm(row, as_of),
            "call_reasons": row.call_reasons,
            "value_tier": row.value_tier,
            "purchase_days": row.purchase_days,
            "last_purchase_on": row.last_purchase_on,
            "probability": row.probability,
            "expected_purchases": row.expected_purchases,
            "horizon_days": run.horizon_days or model.horizon_days,
            "value_to_save": None
            if row.value_to_save is None
            else deployment.money(row.value_to_save),
            "clv": deployment.money(row.clv),
            "reason": row.reason,
            **explained.get(row.customer_id, _UNEXPLAINED),
            "previous": lists.previous(row, asked.since),
            "next_actions": own,
        }
        for row, own in zip(rows, actions, strict=True)
    ]
    names = {stage.code: stage.name for stage in policy.described}
    for item in items:
        silent = as_of.day - to_day(item["last_purchase_on"])
        item["sentence"] = card_sentences.of_answer(
            names[item["stage"]],
            {**item, "days_since_last_purchase": silent},
            uncertain=model.little_history,
        )
    return items


async def _reasons(
    session: ReadSession,
    model: FittedModel,
    policy: Policy,
    run: AnyRow,
    rows: Sequence[AnyRow],
    as_of: AsOf,
) -> dict[str, dict[str, Any]]:
    """Return the reasons of the listed customers, from the facts up to the instant of the run."""
    listed = {row.customer_id: row for row in rows}
    population = await populations.of_customers(
        session, policy.inactivity_limit, as_of, list(listed)
    )
    buyers = population.buyers()
    if not len(buyers):
        return {}
    inputs = await model_inputs.read_inputs(session, model, buyers, as_of)
    reasons = inputs.reasons(run.horizon_days or model.horizon_days)
    return {
        customer_id: {
            "base_log_odds": float(reasons.base),
            "log_odds": float(reasons.total[row]),
            "reasons": reason_texts.explain(inputs, reasons, row),
            "facts_changed": _differs(listed[customer_id].probability, float(reasons.total[row])),
        }
        for row, customer_id in enumerate(buyers.customer_ids)
    }


def _differs(probability: float, log_odds: float) -> bool:
    """Say whether a probability is another one than that of log-odds, whatever the rounding."""
    other = float(fitted_models.probability(np.asarray(log_odds)))
    # A probability close to 1 is rounded far more coarsely than its log-odds.
    return abs(other - probability) > SAME_LOG_ODDS * other * (1 - other) + SAME_PROBABILITY


async def _actions(
    session: ReadSession,
    deployment: Deployment,
    policy: Policy,
    rows: Sequence[AnyRow],
    now: datetime,
) -> list[list[dict[str, Any]]]:
    """Return what to do with the listed customers now, from all that is known by now."""
    ids, stages = [row.customer_id for row in rows], [row.stage for row in rows]
    stored = await purchase_summaries.stored(session, ids)
    population = Population.of(ids, stages, [stored.get(customer_id, EMPTY) for customer_id in ids])
    return await next_actions.of(
        session, deployment, policy, population, stages, deployment.as_of(now)
    )
