"""Reports on the published run. They are counted once, when the run is published."""

from decimal import Decimal
from typing import Any

from sqlalchemy import func, select

from app.db import ReadSession
from app.deployment import Deployment
from app.models import Model, Run, Score
from app.scoring.rfm import rfm
from app.services.common import deployment_settings
from app.services.models import model_responses
from app.services.models.model_documents import ModelDocument
from app.services.policies import policies
from app.services.scores.run_summaries import GroupTotals, RfmCell, RunSummary, StageTotals

GROUP_NAMES = {
    "champions": "Champions",
    "loyal": "Loyal",
    "potential_loyalists": "Potential loyalists",
    "new": "New",
    "promising": "Promising",
    "need_attention": "Need attention",
    "about_to_sleep": "About to sleep",
    "cant_lose_them": "Can't lose them",
    "at_risk": "At risk",
    "hibernating": "Hibernating",
}


_NO_CUSTOMERS = StageTotals(customers=0, revenue=Decimal(0), value_at_risk=Decimal(0))


async def summarise(session: ReadSession, run_id: int) -> RunSummary:
    """Count a run by stage, by RFM cell and by RFM group."""
    of_run = Score.run_id == run_id
    sums = func.count(), func.sum(Score.revenue), func.sum(Score.value_at_risk)
    stages = await session.execute(select(Score.stage, *sums).where(of_run).group_by(Score.stage))
    cells = await session.execute(
        select(Score.r, Score.f, func.count())
        .where(of_run, Score.r.is_not(None))
        .group_by(Score.r, Score.f)
    )
    groups = await session.execute(
        select(Score.rfm_group, *sums[:2])
        .where(of_run, Score.rfm_group.is_not(None))
        .group_by(Score.rfm_group)
    )
    return RunSummary(
        stages={
            stage: StageTotals(customers=count, revenue=revenue, value_at_risk=at_risk)
            for stage, count, revenue, at_risk in stages
        },
        cells=[RfmCell(r=r, f=f, customers=count) for r, f, count in cells],
        groups={
            group: GroupTotals(customers=count, revenue=revenue) for group, count, revenue in groups
        },
    )


async def stages(session: ReadSession, deployment: Deployment) -> dict[str, Any]:
    """Return customers, revenue and value at risk of each stage."""
    head, summary, _ = await _published(session)
    version = head["policy_version"] or (await deployment_settings.pointers(session)).policy_version
    head["stages"] = []
    for stage in await policies.described_stages(session, version):
        code = stage["code"]
        totals = summary.stages.get(code, _NO_CUSTOMERS)
        at_risk = totals.value_at_risk
        head["stages"].append(
            {
                "stage": code,
                "name": stage["name"],
                "customers": totals.customers,
                "revenue": deployment.money(totals.revenue),
                "value_at_risk": at_risk if at_risk is None else deployment.money(at_risk),
            }
        )
    return head


async def rfm_grid(session: ReadSession, deployment: Deployment) -> dict[str, Any]:
    """Return the RFM grid and groups; empty scores are shown."""
    head, summary, cuts = await _published(session)
    grid = [[0] * 5 for _ in range(5)]
    for cell in summary.cells:
        grid[cell.r - 1][cell.f - 1] = cell.customers
    head["grid"] = grid
    head["cuts"] = cuts and model_responses.rfm_cuts(deployment, cuts)
    head["groups"] = [
        {
            "group": code,
            "name": GROUP_NAMES[code],
            "customers": totals.customers,
            "revenue": deployment.money(totals.revenue),
        }
        for code in rfm.GROUPS
        for totals in [summary.groups.get(code, _NO_CUSTOMERS)]
    ]
    return head


async def _published(
    session: ReadSession,
) -> tuple[dict[str, Any], RunSummary, dict[str, Any] | None]:
    """Return what every report says of its run, the counts, and the RFM cuts."""
    active = await deployment_settings.pointers(session)
    head: dict[str, Any] = {
        "run_id": None,
        "model_id": None,
        "policy_version": None,
        "as_of": None,
    }
    if active.run_id is None:
        return head, RunSummary(stages={}, cells=[], groups={}), None
    statement = (
        select(Run.model_id, Run.policy_version, Run.as_of, Run.summary, Model.document)
        .join(Model, Model.model_id == Run.model_id)
        .where(Run.run_id == active.run_id)
    )
    run = (await session.execute(statement)).one()
    head |= {
        "run_id": active.run_id,
        "model_id": run.model_id,
        "policy_version": run.policy_version,
        "as_of": run.as_of,
    }
    return head, RunSummary.load(run.summary), ModelDocument.load(run.document).rfm_cuts
