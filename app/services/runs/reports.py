"""Reports on the published run. They are counted once, when the run is published."""

from typing import Any

from sqlalchemy import func, select

from app.db import ReadSession
from app.deployment import Deployment
from app.models import Model, Run, Score
from app.scoring.rfm import rfm
from app.services.common import deployment_settings
from app.services.policies import policies

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


async def summarise(session: ReadSession, run_id: int) -> dict[str, Any]:
    """Count a run by stage, by RFM cell and by RFM group; sums are kept as text, exactly."""
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
    return {
        "stages": {
            stage: [count, str(revenue), None if at_risk is None else str(at_risk)]
            for stage, count, revenue, at_risk in stages
        },
        "cells": [list(cell) for cell in cells],
        "groups": {group: [count, str(revenue)] for group, count, revenue in groups},
    }


async def stages(session: ReadSession, deployment: Deployment) -> dict[str, Any]:
    """Return customers, revenue and value at risk of each stage."""
    head, summary, _ = await _published(session, deployment)
    version = head["policy_version"] or (await deployment_settings.pointers(session)).policy_version
    found = summary.get("stages", {})
    head["stages"] = []
    for stage in await policies.described_stages(session, version):
        code = stage["code"]
        count, revenue, at_risk = found.get(code, (0, "0", "0"))
        head["stages"].append(
            {
                "stage": code,
                "name": stage["name"],
                "customers": count,
                "revenue": revenue,
                "value_at_risk": at_risk,
            }
        )
    return head


async def rfm_grid(session: ReadSession, deployment: Deployment) -> dict[str, Any]:
    """Return the RFM grid and groups; empty scores are shown."""
    head, summary, cuts = await _published(session, deployment)
    grid = [[0] * 5 for _ in range(5)]
    for r, f, count in summary.get("cells", ()):
        grid[r - 1][f - 1] = count
    found = summary.get("groups", {})
    head["grid"] = grid
    head["cuts"] = cuts
    head["groups"] = [
        {
            "group": code,
            "name": GROUP_NAMES[code],
            "customers": found.get(code, (0, "0"))[0],
            "revenue": found.get(code, (0, "0"))[1],
        }
        for code in rfm.GROUPS
    ]
    return head


async def _published(
    session: ReadSession, deployment: Deployment
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]:
    """Return what every report says of its run, the counts, and the RFM cuts."""
    active = await deployment_settings.pointers(session)
    head: dict[str, Any] = {
        "run_id": None,
        "model_id": None,
        "policy_version": None,
        "as_of": None,
        "currency": deployment.currency,
    }
    if active.run_id is None:
        return head, {}, None
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
    return head, run.summary, run.document["rfm_cuts"]
