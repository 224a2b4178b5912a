"""The customers about to leave: a list of the published run, each with reasons."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from app.days import AsOf, to_day
from app.db import AnyRow, AnySelect, ReadSession
from app.deployment import Deployment
from app.errors import InvalidCursor
from app.lifecycle.facts import EMPTY, State
from app.lifecycle.policy import Policy
from app.models import Customer, Score
from app.services import (
    models,
    next_actions,
    policies,
    purchase_summaries,
    runs,
    score_cards,
    settings,
)
from app.services.learning import Learnt
from app.services.paging import PageRequest, Sort, choose_sort, fetch, read_bound
from app.services.populations import Population
from app.services.scores import CENT, explain, money

_COLUMNS = [
    Score.customer_id,
    Customer.name,
    Score.stage,
    Score.at_risk,
    Score.value_tier,
    Score.purchase_days,
    Score.first_purchase_on,
    Score.last_purchase_on,
    Score.usual_gap_days,
    Score.probability,
    Score.level,
    Score.value_at_risk,
    Score.clv,
]
SORTS = {
    "-value_at_risk": Sort((Score.value_at_risk, Score.customer_id), descending=True),
    "value_at_risk": Sort((Score.value_at_risk, Score.customer_id)),
    "-probability": Sort((Score.probability, Score.customer_id), descending=True),
    "probability": Sort((Score.probability, Score.customer_id)),
    "customer_id": Sort((Score.customer_id,)),
}


async def search(
    session: ReadSession,
    here: Deployment,
    page: PageRequest,
    *,
    filters: dict[str, Any],
    include_churned: bool,
    now: datetime,
) -> dict[str, Any]:
    """Return a page of the published run, or of the run that the cursor began with."""
    run_id = read_bound(page, "=run_id") or (await settings.pointers(session)).run_id
    if run_id is None:
        return {"items": [], "next_cursor": None, "as_of": None, "run_id": None, "model_id": None}
    run = await runs.find(session, run_id)
    if run is None:
        raise InvalidCursor("The run that this cursor belongs to is no longer kept.")
    learnt = await models.load(session, run.model_id)
    ranked = "-value_at_risk" if learnt.dropout_identified else "-probability"
    allowed = {
        name: sort
        for name, sort in SORTS.items()
        if learnt.dropout_identified or "value_at_risk" not in name
    }
    name, sort = choose_sort(page, allowed, ranked)
    bound_to = {"list": "churn_risks", "sort": name, "=run_id": run_id, **filters,
                "include_churned": include_churned}  # fmt: skip
    policy = await policies.get(session, run.policy_version)
    left = [] if include_churned else [each for each in policy.stages if policy.has_left(each)]
    statement = _filtered(run_id, filters, left)
    rows, cursor = await fetch(session, statement.add_columns(*sort.columns), page, sort, bound_to)
    as_of = here.as_of(run.as_of)
    return {
        "items": await _items(session, here, learnt, policy, rows, as_of, now) if rows else [],
        "next_cursor": cursor,
        "as_of": run.as_of,
        "run_id": run_id,
        "model_id": run.model_id,
    }


def _filtered(run_id: int, filters: dict[str, Any], left: Sequence[str]) -> AnySelect:
    """Select a run; without those in stages of having left, save for the one asked for."""
    statement = (
        select(*_COLUMNS)
        .join(Customer, Customer.customer_id == Score.customer_id)
        .where(Score.run_id == run_id, Score.probability.is_not(None))
    )
    for name, value in filters.items():
        if value is not None:
            column = Customer.owner if name == "owner" else getattr(Score, name)
            statement = statement.where(column == value)
    if left and filters.get("stage") not in left:
        statement = statement.where(Score.stage.not_in(left))
    return statement


async def _items(
    session: ReadSession,
    here: Deployment,
    learnt: Learnt,
    policy: Policy,
    rows: Sequence[AnyRow],
    as_of: AsOf,
    now: datetime,
) -> list[dict[str, Any]]:
    people = _people(rows)
    actions = await _actions(session, here, policy, people, now)
    history = people.x, people.t_x / learnt.unit, people.T(as_of) / learnt.unit
    horizon_days = score_cards.DEFAULT_HORIZON_DAYS
    parts = score_cards.reasons(learnt, *history, horizon_days=horizon_days)
    return [
        {
            "customer_id": row.customer_id,
            "name": row.name,
            "stage": row.stage,
            "at_risk": row.at_risk,
            "value_tier": row.value_tier,
            "last_purchase_on": row.last_purchase_on,
            "days_silent": as_of.day - int(people.columns.last_day[index]),
            "usual_gap_days": row.usual_gap_days,
            "probability": row.probability,
            "horizon_days": horizon_days,
            "level": row.level,
            "value_at_risk": None
            if row.value_at_risk is None
            else money(here, row.value_at_risk.quantize(CENT)),
            "clv": money(here, row.clv.quantize(CENT)),
            "reasons": explain(learnt, people, row.usual_gap_days, parts, index, as_of),
            "next_actions": actions[index],
        }
        for index, row in enumerate(rows)
    ]


async def _actions(
    session: ReadSession, here: Deployment, policy: Policy, listed: Population, now: datetime
) -> list[list[dict[str, Any]]]:
    """Return what to do with the listed customers now, from all that is known by now."""
    stored = await purchase_summaries.stored(session, listed.customer_ids)
    ids, stages = listed.customer_ids, listed.recorded_stages
    people = Population.of(ids, stages, [stored.get(each, EMPTY) for each in ids])
    return await next_actions.of(session, here, policy, people, stages, here.as_of(now))


def _people(rows: Sequence[AnyRow]) -> Population:
    """Return what reasons need of the listed customers."""
    summaries = []
    for row in rows:
        first, last = to_day(row.first_purchase_on), to_day(row.last_purchase_on)
        state = State(row.purchase_days, first, last, first, row.purchase_days, 1)
        summaries.append(EMPTY._replace(state=state))
    return Population.of([row.customer_id for row in rows], [row.stage for row in rows], summaries)
