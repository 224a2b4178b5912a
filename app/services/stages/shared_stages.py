"""Stages of now that are asked for at the same moment, answered together."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from app.days import AsOf
from app.deployment import Deployment
from app.postgres.db import Database, ReadSession
from app.services.common.microbatches import MicroBatches
from app.services.stages import customer_snapshots, recorded_stages, stages

Answer = tuple[dict[str, Any], int]


class Asked(NamedTuple):
    """Whose stage is asked for, and when."""

    customer_id: str
    at: datetime


SharedStages = MicroBatches[None, Asked, Answer | None]


def share(database: Database, deployment: Deployment) -> SharedStages:
    """Return what answers all who ask one process for stages of now."""

    async def answer(_: None, asked: Sequence[Asked]) -> Sequence[Answer | Exception | None]:
        # Of the last who asked: what anybody had written before he asked has happened by then.
        now = max(each.at for each in asked)
        ids = list(dict.fromkeys(each.customer_id for each in asked))
        async with database.reads() as session:
            found = await recorded_stages.of_customers(ReadSession(session), deployment, ids, now)
        return [
            found.answers.get(each.customer_id)
            if each.customer_id in found.known
            else customer_snapshots.unknown(each.customer_id)
            for each in asked
        ]

    return MicroBatches(answer)


async def get(
    shared: SharedStages,
    session: ReadSession,
    deployment: Deployment,
    customer_id: str,
    *,
    as_of: AsOf,
    policy_version: int | None,
    now: datetime,
) -> Answer:
    """Return what `stages.get` answers, by what is recorded where that tells."""
    if as_of.is_now and policy_version is None:
        found = await shared.ask(None, Asked(customer_id, now))
        if found is not None:
            return found
    return await stages.get(
        session, deployment, customer_id, as_of=as_of, policy_version=policy_version, now=now
    )
