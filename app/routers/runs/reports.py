"""Reports over HTTP."""

from typing import Annotated, Any

from fastapi import Path, Query, Request, Response

from app.errors import NotFound
from app.http.deps import AsOfQuery, Here, Now, Read
from app.routers.api import router, scope
from app.schemas.common.types import format_instant
from app.schemas.reports import OfferedReports, Report, RfmReport, StageReport
from app.schemas.responses import headers, problems
from app.services.common import copied_lines
from app.services.runs import reports
from app.services.runs.live_reports import catalogue, csv_lines

routes = router("reports")
CSV = "text/csv"


@routes.get("/reports/stages", response_model=StageReport, **scope("reports:read"))
async def report_stages(session: Read, deployment: Here) -> Any:
    """Return customers, revenue and value at risk per stage, of the published run."""
    return await reports.stages(session, deployment)


@routes.get("/reports/rfm", response_model=RfmReport, **scope("reports:read"))
async def report_rfm(session: Read, deployment: Here) -> Any:
    """Return the RFM grid and groups of the published run."""
    return await reports.rfm_grid(session, deployment)


@routes.get("/reports", response_model=OfferedReports, **scope("reports:read"))
async def list_reports() -> Any:
    """List the reports on ledger and facts, and what each can be parted by."""
    return catalogue.offered()


@routes.get(
    "/reports/{name}",
    response_model=Report,
    responses={
        200: {
            "content": {CSV: {"schema": {"type": "string"}}},
            **headers("CLM-As-Of", "Content-Disposition"),
        },
        **problems(NotFound),
    },
    **scope("reports:read"),
)
async def get_report(
    request: Request,
    session: Read,
    deployment: Here,
    now: Now,
    as_of: AsOfQuery,
    name: Annotated[str, Path(max_length=50, description="name of the report", examples=["flow"])],
    since: Annotated[
        str | None,
        Query(
            alias="from",
            max_length=40,
            description="the first day, at most ten years before `to`; default 365 days with it",
            examples=["2026-01-01"],
        ),
    ] = None,
    until: Annotated[
        str | None,
        Query(
            alias="to",
            max_length=40,
            description="the last day, not after `as_of`; default the day of `as_of`",
            examples=["2026-03-31"],
        ),
    ] = None,
    by: Annotated[
        str | None,
        Query(
            max_length=40,
            description="what to part it by, see `GET /v1/reports`; default its first",
            examples=["channel"],
        ),
    ] = None,
) -> Any:
    """Return a report on ledger and facts as they are now.

    `flow`, `funnel`, `retention`, `return-curve`, `churn`, `value`, `movers`, `acquisition` and
    `interactions` have one shape: columns that say what they are, rows, totals and notes. Each
    share comes with what it is counted of, and Wilson's interval of 95 %. Late facts and refunds
    up to `as_of` count. With `Accept: text/csv` the rows alone; a rate has five columns there. A
    report that would take longer than a request may is refused with 503.
    """
    told = await catalogue.make(
        session, deployment, name, since=since, until=until, by=by, as_of=as_of, now=now
    )
    if copied_lines.form_of(request.headers.get("accept")) != CSV:
        return told
    named = {
        "CLM-As-Of": format_instant(as_of.at),
        "Content-Disposition": f'attachment; filename="{csv_lines.filename(told)}"',
    }
    return Response(csv_lines.write(told, deployment.currency), media_type=CSV, headers=named)
