"""What customers amount to in groups: by words, or by numbers in bands."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.deployment import Deployment
from app.errors import DatabaseUnavailable, FieldError, ValidationFailed
from app.postgres.db import ReadSession, WriteSession
from app.postgres.sqlstates import hindrance, is_missing_table
from app.schemas.common.types import format_instant
from app.schemas.queries import AggregateQuery
from app.services.common import as_of as as_ofs
from app.services.operations import parts
from app.services.operations.parts import Part
from app.services.runs import aggregate_groups, aggregate_sql, queries, query_columns, query_parts
from app.services.runs.aggregate_groups import Groups
from app.services.runs.aggregate_rules import Aggregate, Dimension, prepare
from app.services.runs.query_parts import AskedInParts
from app.services.runs.query_rules import PERSONAL, May

AGGREGATE, ADD_UP = "customer_aggregate", "aggregate_customers"


async def aggregate(
    session: ReadSession, deployment: Deployment, asked: AggregateQuery, *, now: datetime, may: May
) -> dict[str, Any] | None:
    """Return the groups; None where it takes a worker to find them."""
    as_of = as_ofs.parse(asked.as_of, deployment, now, pointer="/as_of")
    query = await prepare(session, asked, as_of, may)
    try:
        doubted = await queries.doubts(session, deployment, query.question, money=False)
        if doubted is not None:
            groups = await aggregate_sql.groups(session, deployment, query, doubted)
            return _answer(deployment, query, groups, evaluated=False)
        if await query_columns.end_of(session, "", queries.AT_ONCE + 1) is None:
            groups = await _of_range(session, deployment, query)
            return _answer(deployment, query, groups, evaluated=True)
    except Exception as error:
        if is_missing_table(error):
            raise DatabaseUnavailable("The run was dropped meanwhile; ask again.") from None
        if hindrance(error) != "statement_timeout":
            raise
    _refuse_personal(query.by)
    return None


def _refuse_personal(by: Sequence[Dimension]) -> None:
    for place, each in enumerate(by):
        if each.term is not None and each.term.name in PERSONAL:
            detail = "is personal data, which is not kept with the operation that this takes"
            raise ValidationFailed(errors=[FieldError(f"/by/{place}/of", "personal", detail)])


async def _of_range(
    session: ReadSession,
    deployment: Deployment,
    query: Aggregate,
    *,
    after: str = "",
    up_to: str | None = None,
) -> Groups:
    found = await query_columns.of_range(
        session, deployment, query.question, query.told, after=after, up_to=up_to,
        rules=query.rules,
    )  # fmt: skip
    return aggregate_groups.of(query.by, query.measures, found)


def _answer(
    deployment: Deployment, query: Aggregate, groups: Groups, *, evaluated: bool
) -> dict[str, Any]:
    return {
        "as_of": query.question.as_of.at,
        "run_id": query.question.run_id,
        "evaluated": evaluated,
        **aggregate_groups.shown(deployment, query.measures, groups),
    }


async def plan_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Split everybody into ranges."""
    del deployment
    await query_parts.plan(session, part, ADD_UP, now)


async def _prepared(session: ReadSession, deployment: Deployment, part: Part) -> Aggregate:
    await query_parts.check_segments(session, part)
    asked = AggregateQuery.model_validate(part.asked(AskedInParts).asked)
    as_of = query_parts.as_of_part(deployment, part, asked.as_of)
    may, run_id = query_parts.may_of(part), part.context["run_id"]
    return await prepare(session, asked, as_of, may, run_id)


async def add_up_part(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> None:
    """Add up a range."""
    del now
    query = await _prepared(session, deployment, part)
    groups = await _of_range(session, deployment, query, **part.arguments)
    await parts.note(session, part, {"groups": aggregate_groups.noted(groups)})


async def result(
    session: WriteSession, deployment: Deployment, part: Part, now: datetime
) -> dict[str, Any]:
    """Return the groups of everybody."""
    del now
    query = await _prepared(session, deployment, part)
    noted = [outcome["groups"] for outcome in await parts.noted(session, part)]
    groups = aggregate_groups.added(noted)
    answer = _answer(deployment, query, groups, evaluated=True)
    return {**answer, "as_of": format_instant(answer["as_of"])}
