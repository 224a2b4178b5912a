"""Reports over HTTP."""

from typing import Annotated, Any

from fastapi import Header, Path, Query, Request, Response

from app.errors import NotFound, OperationRunning
from app.http.deps import Here, InstantOrDay, Now, Principal, Read, WriteIfNeeded
from app.postgres.sqlstates import hindrance
from app.routers.api import accept, router, scope
from app.schemas.common.types import format_instant
from app.schemas.operations import ReportOperation
from app.schemas.reports import OfferedReports, Report, RfmReport, StageReport
from app.schemas.responses import headers, problems
from app.services.common import as_of as as_ofs
from app.services.common import copied_lines
from app.services.runs import reports
from app.services.runs.live_reports import catalogue, csv_lines, long_reports
from app.services.runs.live_reports.long_reports import ReportAsked

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
    response_model=Report | ReportOperation,
    responses={
        200: {
            "model": Report,
            "content": {CSV: {"schema": {"type": "string"}}},
            **headers("CLM-As-Of", "Content-Disposition"),
        },
        202: {"model": ReportOperation, **headers("Location", "Retry-After")},
        **problems(NotFound, OperationRunning),
    },
    **scope("reports:read"),
)
async def get_report(
    request: Request,
    response: Response,
    session: Read,
    deployment: Here,
    now: Now,
    principal: Principal,
    begin: WriteIfNeeded,
    name: Annotated[str, Path(max_length=50, description="name of the report", examples=["flow"])],
    as_of: InstantOrDay = None,
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
    prefer: Annotated[
        str | None,
        Header(
            max_length=200,
            description="`respond-async` has a worker make it at once: 202",
            examples=["respond-async"],
        ),
    ] = None,
) -> Any:
    """Return a report on ledger and facts as they are now.

    `flow`, `funnel`, `retention`, `return-curve`, `churn`, `value`, `movers`, `acquisition` and
    `interactions` have one shape: columns that say what they are, rows, totals and notes. Each
    share comes with what it is counted of, and Wilson's interval of 95 %. Late facts and refunds
    up to `as_of` count. With `Accept: text/csv` the rows alone; a rate has five columns there. One
    that takes longer than a request may takes a worker: 202, and the report is the result of the
    operation. `Prefer: respond-async` asks for that without trying.
    """
    at = as_ofs.parse(as_of, deployment, now)
    question = await catalogue.read(
        session, deployment, name, since=since, until=until, by=by, as_of=at
    )
    told = None
    if "respond-async" not in (prefer or "").lower():
        try:
            told = await catalogue.make(session, name, question, now=now)
        except Exception as error:
            if hindrance(error) != "statement_timeout":
                raise
    if told is None:
        asked = ReportAsked(name=name, since=since, until=until, by=by, as_of=as_of)
        writing = await begin()
        operation = await long_reports.submit(
            writing, asked, now=now, requested_by=principal.key_id
        )
        response.status_code = 202
        return accept(response, operation)
    if copied_lines.form_of(request.headers.get("accept")) != CSV:
        return told
    named = {
        "CLM-As-Of": format_instant(at.at),
        "Content-Disposition": f'attachment; filename="{csv_lines.filename(told)}"',
    }
    return Response(csv_lines.write(told, deployment.currency), media_type=CSV, headers=named)
