"""Questions about customers over HTTP."""

from typing import Any

from fastapi import Request, Response

from app.edge.exports import Export
from app.errors import ExportsBusy, InvalidCursor, NoModel, OperationRunning
from app.http.deps import AppState, Here, Now, Principal, Read, WriteIfNeeded
from app.routers.api import accept, router, scope
from app.schemas.operations import CustomerAggregateOperation, CustomerQueryOperation
from app.schemas.queries import AggregateAnswer, AggregateQuery, CustomerQuery, QueryPage
from app.schemas.responses import headers, problems
from app.services.common import copied_lines
from app.services.runs import aggregates, queries, query_lines, query_parts

routes = router("queries")
OF_LINES = ("CLM-As-Of", "CLM-Run-Id", "Content-Disposition")


@routes.post(
    "/customers/query",
    response_model=QueryPage | CustomerQueryOperation,
    responses={
        200: {
            "model": QueryPage,
            "content": {form: {"schema": {"type": "string"}} for form in copied_lines.FORMS[1:]},
            **headers(*OF_LINES),
        },
        202: {"model": CustomerQueryOperation, **headers("Location", "Retry-After")},
        **problems(InvalidCursor, NoModel, OperationRunning, ExportsBusy),
    },
    **scope("customers:read"),
)
async def query_customers(
    request: Request,
    query: CustomerQuery,
    state: AppState,
    session: Read,
    deployment: Here,
    now: Now,
    principal: Principal,
    begin: WriteIfNeeded,
    response: Response,
) -> Any:
    """Find the customers for whom a rule holds, now or at an earlier instant.

    Any variable can be selected; attributes and ages need `customers:read_pii`, what a model or a
    run says needs `scores:read`. Who was not known yet at `as_of` is told of by what is known now.
    A rule on what is stored is answered at once. One that has to be evaluated for many, and is to
    be counted or sorted by more than the id, takes a worker: 202. With `Accept:
    application/x-ndjson` or `text/csv` all are answered, by id, a line each.
    """
    asked: dict[str, Any] = {"now": now, "may": principal.may}
    form = copied_lines.form_of(request.headers.get("accept"))
    if form != "application/json":
        lines, of_all = await query_lines.open_lines(
            state.database, session, deployment, query, form, secret=state.cursor_secret, **asked
        )
        name = f"customers.{'csv' if form == 'text/csv' else 'ndjson'}"
        return Export(lines, state.exports, media_type=form, headers=of_all, filename=name)
    found = await queries.search(session, deployment, query, secret=state.cursor_secret, **asked)
    if found is not None:
        return found
    response.status_code = 202
    body = query.model_dump(mode="json", exclude_unset=True)
    operation = await query_parts.submit(
        await begin(), query_parts.QUERY, body, by=principal.key_id, **asked
    )
    return accept(response, operation)


@routes.post(
    "/customers/aggregate",
    response_model=AggregateAnswer | CustomerAggregateOperation,
    responses={
        200: {"model": AggregateAnswer},
        202: {"model": CustomerAggregateOperation, **headers("Location", "Retry-After")},
        **problems(NoModel, OperationRunning),
    },
    **scope("customers:read"),
)
async def aggregate_customers(
    query: AggregateQuery,
    session: Read,
    deployment: Here,
    now: Now,
    principal: Principal,
    begin: WriteIfNeeded,
    response: Response,
) -> Any:
    """Add customers up in groups: by stage, channel, owner, country, any word or banded number.

    Scopes are those of the query. More than 10,000 groups are refused. What has to be evaluated for
    many takes a worker: 202.
    """
    asked: dict[str, Any] = {"now": now, "may": principal.may}
    found = await aggregates.aggregate(session, deployment, query, **asked)
    if found is not None:
        return found
    response.status_code = 202
    body = query.model_dump(mode="json", exclude_unset=True)
    operation = await query_parts.submit(
        await begin(), aggregates.AGGREGATE, body, by=principal.key_id, **asked
    )
    return accept(response, operation)
