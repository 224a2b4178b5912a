"""Customers, facts and who is in which segments: each as a whole, over HTTP."""

from typing import Annotated, Any

from fastapi import Path, Request, Response

from app.edge.exports import Export
from app.errors import ExportsBusy, NotFound, printable
from app.http.deps import AppState, Here, Now, Principal, Read
from app.routers.api import router, scope
from app.schemas.common.types import Text
from app.schemas.responses import headers, problems
from app.services.common import copied_lines
from app.services.ingest import exports
from app.services.runs.segments import exports as memberships

routes = router("imports")
FORMS = copied_lines.FORMS[1:]
KINDS = (*exports.COLUMNS, "segments")
OF_SEGMENTS = ("CLM-As-Of", "CLM-Segments-Left-Out")


@routes.get(
    "/exports/{what}",
    response_class=Response,
    responses={
        200: {
            "description": "All of them, a line each",
            "content": {form: {"schema": {"type": "string"}} for form in FORMS},
            **headers(*OF_SEGMENTS, "Content-Disposition"),
        },
        **problems(NotFound, ExportsBusy),
    },
    **scope("customers:read"),
)
async def export_lines(
    what: Annotated[
        Text,
        Path(
            description="what to write out: customers, transactions, interactions or segments",
            examples=["customers"],
        ),
    ],
    request: Request,
    state: AppState,
    session: Read,
    deployment: Here,
    now: Now,
    principal: Principal,
) -> Any:
    """Return all customers, all facts that are in force, or who is in which segments, a line each.

    In the order of ids; lines of JSON, unless `Accept: text/csv`. A line of JSON of a customer or a
    fact is an item of the bulk that writes it. Without the scope `customers:read_pii` personal data
    of customers are left out. An answer that ends without a proper end was broken off, and is not
    whole. Few such exports run at once.

    `segments`: by customer, a line for each segment in force that the customer is in, with its
    version and names, and since when the customer is kept as a member (`entered_at`; null where
    that has not been brought up to date yet). They are the members that
    `GET /v1/segments/{code}/members` lists at the same instant. Left out, and counted by a header,
    are segments whose rules need a scope that the key has not (`customers:read_pii`,
    `scores:read`), or a model while there is none.
    """
    if what not in KINDS:
        raise NotFound(f"There are no lines of {printable(what)!r}, but of {', '.join(KINDS)}.")
    csv = copied_lines.form_of(request.headers.get("accept")) == "text/csv"
    form, ending = (FORMS[1], "csv") if csv else (FORMS[0], "ndjson")
    of_all: dict[str, str] = {}
    if what == "segments":
        lines, of_all = await memberships.open_lines(
            state.database, session, deployment, form, now=now, may=principal.may
        )
    else:
        lines = exports.open_lines(state.database, what, form)
    name = f"{what}.{ending}"
    return Export(lines, state.exports, media_type=form, headers=of_all, filename=name)
