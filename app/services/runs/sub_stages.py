"""The plain list of customers in a sub-stage: no column says it, so that its rule is asked."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, text

from app.deployment import Deployment
from app.errors import FieldError, ValidationFailed
from app.lifecycle.expressions import AllOf, AnyOf, Compare, Expression, Not
from app.lifecycle.policy import Policy
from app.lifecycle.variables.definition import Term
from app.lifecycle.variables.registry import VARIABLES
from app.models import Customer
from app.postgres.db import ReadSession
from app.services.common import deployment_settings
from app.services.common.paging import PageRequest, choose, read_bound
from app.services.customers import countries, customers
from app.services.customers.search import Filters
from app.services.policies import policies
from app.services.runs import queries, query_pages, query_rules, query_sql
from app.services.runs.query_pages import Order
from app.services.runs.query_prepared import Prepared

_TERMS: Final = {
    "stage": "stage", "owner": "owner", "country": "country", "industry": "industry",
    "channel": "acquisition_channel", "kind": "kind", "rhythm": "rhythm",
}  # fmt: skip
"""The variable of each filter."""
_SORTS: Final[dict[str, str | None]] = {
    "customer_id": None, "-customer_id": None, "value_to_save": "value_to_save",
    "-value_to_save": "-value_to_save", "clv": "clv", "-clv": "-clv",
    "last_purchase": "-days_since_last_purchase", "-last_purchase": "days_since_last_purchase",
}  # fmt: skip
_NAMED = select(*customers.COLUMNS).where(Customer.customer_id == text("ANY(CAST(:ids AS text[]))"))


async def search(
    session: ReadSession,
    deployment: Deployment,
    page: PageRequest,
    filters: Filters,
    sub_stage: str,
    *,
    now: datetime,
) -> dict[str, Any]:
    """Return a page of the customers who fit all filters, by the policy in force."""
    pointers = await deployment_settings.pointers(session)
    policy = (await policies.timeline(session, pointers.timeline)).current
    name, sorted_by = choose(page, _SORTS, "customer_id")
    when = AllOf((rule_of(policy, sub_stage), *_rules(filters)))
    order = Order(name, name.startswith("-"))
    if sorted_by is not None:
        term = Term.of(VARIABLES[sorted_by.removeprefix("-")])
        order = Order(name, sorted_by.startswith("-"), term)
    as_of = replace(deployment.as_of(now), is_now=True)
    as_of = query_rules.as_of_page(as_of, deployment, read_bound(page, "=as_of"))
    question = await query_rules.question(
        session, pointers, when, () if order.term is None else (order.term,), as_of,
        lambda _: True, run_id=read_bound(page, "=run_id"),
    )  # fmt: skip
    question = replace(question, policy=replace(policy, model_id=policy.model_id))
    bound_to = {"list": "sub_stages", "sort": name, "sub_stage": sub_stage, **vars_of(filters),
                "=as_of": as_of.at.isoformat(), "=run_id": question.run_id}  # fmt: skip
    kind = None
    if order.term is not None:
        kind = query_sql.value(order.term, question.tables(deployment)).kind
    place = query_pages.place_of(page, kind, bound_to)
    query = Prepared(question, (), order, kind, page, place, bound_to, counts=False,
                     tells_scores=True)  # fmt: skip
    try:
        rows, cursor = queries.cut(query, await queries.find(session, deployment, query))
    except queries.TooMany:
        detail = "is by customer_id, as the rule of this sub-stage is evaluated for each"
        raise ValidationFailed(errors=[FieldError("query:sort", "evaluated", detail)]) from None
    items = await _shown(session, [row[1] for row in rows])
    settled = pointers.settled_policy_version
    return {"items": items, "next_cursor": cursor, "stage_policy_version": settled}


def rule_of(policy: Policy, sub_stage: str) -> Expression:
    """Return the rule of a sub-stage: the first of its stage that holds."""
    found: list[Expression] = []
    stage = Term.of(VARIABLES["stage"])
    for each in policy.described:
        before: list[Expression] = []
        for option in each.sub_stages:
            if option.code == sub_stage:
                own = Compare(stage, "==", each.code)
                found.append(AllOf((own, *map(Not, before), option.when)))
            before.append(option.when)
    if not found:
        codes = sorted({option.code for each in policy.described for option in each.sub_stages})
        detail = f"is no sub-stage of the policy in force, which has {', '.join(codes) or 'none'}"
        fault = FieldError("query:sub_stage", "unknown_sub_stage", detail)
        raise ValidationFailed(errors=[fault])
    return AnyOf(tuple(found))


def vars_of(filters: Filters) -> dict[str, object]:
    """Return the filters that a cursor belongs to."""
    return {name: getattr(filters, name) for name in _TERMS}


def _rules(filters: Filters) -> Iterator[Expression]:
    for name in ("q", "updated_since"):
        if getattr(filters, name) is not None:
            detail = "does not go with sub_stage, whose customers are found by a rule"
            fault = FieldError(f"query:{name}", "not_with_sub_stage", detail)
            raise ValidationFailed(errors=[fault])
    for name, variable in _TERMS.items():
        value = getattr(filters, name)
        if name == "country" and value is not None:
            value = countries.code_of(value) or value
        if value is not None:
            yield Compare(Term.of(VARIABLES[variable]), "==", value)


async def _shown(session: ReadSession, ids: list[str]) -> list[dict[str, Any]]:
    found = await session.execute(_NAMED, {"ids": ids})
    rows = {row.customer_id: row for row in found}
    return [customers.to_response(rows[each]) for each in ids if each in rows]
