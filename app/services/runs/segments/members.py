"""Who is in a segment, now or at an earlier instant: by its rule, as a query tells it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.deployment import Deployment
from app.errors import AppError, DatabaseUnavailable, FieldError
from app.postgres.db import ReadSession, fetch_rows
from app.schemas.queries import CustomerQuery
from app.services.common import deployment_settings
from app.services.common.id_texts import NAMED, named
from app.services.runs import queries
from app.services.runs.query_rules import May
from app.services.runs.segments import definitions

_SINCE = (
    "SELECT customer_id, entered_at FROM segment_periods"  # noqa: S608  # no value of a caller
    f" WHERE customer_id = ANY({NAMED}) AND code = $2 AND left_at IS NULL"
)


async def search(
    session: ReadSession,
    deployment: Deployment,
    code: str,
    *,
    as_of: str | None,
    limit: int,
    cursor: str | None,
    secret: bytes,
    now: datetime,
    may: May,
) -> dict[str, Any]:
    """Return a page of members, by their ids."""
    pointers = await deployment_settings.pointers(session)
    segment = (await definitions.named(session, pointers.segments)).require(code)
    rule = {"segment": code}
    asked = CustomerQuery(when=rule, as_of=as_of, limit=limit, cursor=cursor)
    try:
        page = await queries.search(session, deployment, asked, secret=secret, now=now, may=may)
    except AppError as error:
        error.errors = tuple(map(_of_query, error.errors))
        raise
    if page is None:
        raise DatabaseUnavailable("It took too long: ask POST /v1/customers/query, with count.")
    since: dict[str, datetime] = {}
    if as_of is None:
        since = await _since(session, code, [item["customer_id"] for item in page["items"]])
    items = [
        {"customer_id": each["customer_id"], "name": each["name"],
         "entered_at": since.get(each["customer_id"])}
        for each in page["items"]
    ]  # fmt: skip
    told = {name: page[name] for name in ("next_cursor", "as_of", "run_id", "masked")}
    return {"code": code, "version": segment.version, "items": items, **told}


def _of_query(fault: FieldError) -> FieldError:
    return FieldError(f"query:{fault.pointer.removeprefix('/')}", fault.code, fault.detail)


async def _since(session: ReadSession, code: str, ids: Sequence[str]) -> dict[str, datetime]:
    return {row[0]: row[1] for row in await fetch_rows(session, _SINCE, named(ids), code)}
