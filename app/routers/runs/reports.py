"""Reports over HTTP."""

from typing import Any

from app.http.deps import Here, Read
from app.routers.api import router, scope
from app.schemas.reports import RfmReport, StageReport
from app.services.runs import reports

routes = router("reports")


@routes.get("/reports/stages", response_model=StageReport, **scope("reports:read"))
async def report_stages(session: Read, deployment: Here) -> Any:
    """Return customers, revenue and value at risk per stage, of the published run."""
    return await reports.stages(session, deployment)


@routes.get("/reports/rfm", response_model=RfmReport, **scope("reports:read"))
async def report_rfm(session: Read, deployment: Here) -> Any:
    """Return the RFM grid and groups of the published run."""
    return await reports.rfm_grid(session, deployment)
