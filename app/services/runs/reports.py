"""Reports on the published run, as it was counted when it was made."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from app.deployment import Deployment
from app.lifecycle.variables.choices import RFM_GROUPS
from app.models import Model, Run
from app.postgres.db import ReadSession
from app.scoring.rfm import rfm
from app.scoring.spend.intervals import Between
from app.services.common import deployment_settings
from app.services.models import model_parts, model_responses
from app.services.models.model_documents import ModelDocument
from app.services.policies import policies
from app.services.scores import intervals
from app.services.scores.run_summaries import RunSummary, StageTotals

_NO_CUSTOMERS = StageTotals(
    customers=0, revenue=Decimal(0), value_to_save=Decimal(0), sums=intervals.Sums()
)


async def stages(session: ReadSession, deployment: Deployment) -> dict[str, Any]:
    """Return customers, revenue, what is expected and value to save of each stage."""
    head, summary, document = await _published(session)
    between = model_parts.between(document) if document else Between()
    version = head["policy_version"] or (await deployment_settings.pointers(session)).policy_version
    head["stages"] = []
    everybody = sum(totals.customers for totals in summary.stages.values())
    for stage in await policies.described_stages(session, version):
        code = stage["code"]
        totals = summary.stages.get(code, _NO_CUSTOMERS)
        to_save = totals.value_to_save
        head["stages"].append(
            {
                "stage": code,
                "name": stage["name"],
                "customers": totals.customers,
                "revenue": deployment.money(totals.revenue),
                "value_to_save": to_save if to_save is None else deployment.money(to_save),
                "totals": intervals.totals(deployment, totals.sums if document else None, between),
                "targets": [
                    _target(each, totals, everybody) for each in stage.get("targets") or ()
                ],
            }
        )
    head["totals"] = intervals.totals(deployment, summary.sums if document else None, between)
    return head


def _target(asked: Mapping[str, Any], totals: StageTotals, everybody: int) -> dict[str, Any]:
    """Return a target of a stage, and whether it is met; nothing is known before the first run."""
    metric, least, most = asked["metric"], asked.get("at_least"), asked.get("at_most")
    found: Any = None
    if everybody:
        share = totals.customers / everybody
        found = share if metric == "share" else getattr(totals, metric)
    value = None if found is None else float(found)
    met = None
    if value is not None:
        met = (least is None or value >= least) and (most is None or value <= most)
    return {"metric": metric, "at_least": least, "at_most": most, "value": value, "met": met}


async def rfm_grid(session: ReadSession, deployment: Deployment) -> dict[str, Any]:
    """Return customers by R and FM, and the groups; empty scores are shown."""
    head, summary, document = await _published(session)
    grid = [[0] * 5 for _ in range(5)]
    for cell in summary.cells:
        grid[cell.r - 1][cell.fm - 1] = cell.customers
    head["grid"] = grid
    cuts = document and document.rfm_cuts
    head["cuts"] = cuts and model_responses.rfm_cuts(deployment, cuts)
    classes = model_parts.rfm_classes(document) if document else {}
    head["rfm_few_classes"] = model_responses.few_classes(classes)
    head["groups"] = [
        {
            "group": code,
            "name": RFM_GROUPS[code],
            "customers": totals.customers,
            "revenue": deployment.money(totals.revenue),
        }
        for code in rfm.GROUPS
        for totals in [summary.groups.get(code, _NO_CUSTOMERS)]
    ]
    return head


async def _published(
    session: ReadSession,
) -> tuple[dict[str, Any], RunSummary, ModelDocument | None]:
    """Return what every report says of its run, the counts, and the model."""
    active = await deployment_settings.pointers(session)
    head: dict[str, Any] = {
        "run_id": None,
        "model_id": None,
        "policy_version": None,
        "as_of": None,
        "horizon_days": None,
    }
    if active.run_id is None:
        return head, RunSummary(stages={}, cells=[], groups={}), None
    statement = (
        select(
            Run.model_id,
            Run.policy_version,
            Run.as_of,
            Run.horizon_days,
            Run.summary,
            Model.document,
        )
        .join(Model, Model.model_id == Run.model_id)
        .where(Run.run_id == active.run_id)
    )
    run = (await session.execute(statement)).one()
    document = ModelDocument.load(run.document)
    head |= {
        "run_id": active.run_id,
        "model_id": run.model_id,
        "policy_version": run.policy_version,
        "as_of": run.as_of,
        "horizon_days": run.horizon_days or document.horizon_days,
    }
    return head, RunSummary.load(run.summary), document
