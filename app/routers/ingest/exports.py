"""Customers and facts as a whole, over HTTP."""

from typing import Annotated, Any

from fastapi import Path, Request, Response

from app.edge.exports import Export
from app.errors import ExportsBusy, NotFound
from app.http.deps import AppState
from app.routers.api import router, scope
from app.schemas.common.types import Text
from app.schemas.responses import headers, problems
from app.services.common import copied_lines
from app.services.ingest import exports

routes = router("imports")
FORMS = copied_lines.FORMS[1:]


@routes.get(
    "/exports/{what}",
    response_class=Response,
    responses={
        200: {
            "description": "All of them, a line each",
            "content": {form: {"schema": {"type": "string"}} for form in FORMS},
            **headers("Content-Disposition"),
        },
        **problems(NotFound, ExportsBusy),
    },
    **scope("customers:read"),
)
async def export_lines(
    what: Annotated[
        Text,
        Path(
            description="what to write out: customers, transactions or interactions",
            examples=["customers"],
        ),
    ],
    request: Request,
    state: AppState,
) -> Any:
    """Return all customers, or all facts that are in force, a line each, in the order of ids.

    Lines of JSON, unless `Accept: text/csv`. A line of JSON is an item of the bulk that writes it.
    Without the scope `customers:read_pii` personal data of customers are left out. An answer that
    ends without a proper end was broken off, and is not whole. Few such exports run at once.
    """
    csv = copied_lines.form_of(request.headers.get("accept")) == "text/csv"
    form, ending = (FORMS[1], "csv") if csv else (FORMS[0], "ndjson")
    lines = exports.open_lines(state.database, what, form)
    return Export(lines, state.exports, media_type=form, headers={}, filename=f"{what}.{ending}")
