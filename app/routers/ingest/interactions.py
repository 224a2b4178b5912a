"""Interactions over HTTP."""

from typing import Annotated, Any

from fastapi import Query, Response

from app.deps import CustomerId, Here, IdempotencyKey, Now, Page, Read, Write
from app.errors import BatchRejected, NotFound
from app.routers.api import answer_batch, answer_fact, of_fact, router, scope
from app.schemas.ingest.facts import FactBatchAnswer
from app.schemas.ingest.interactions import (
    InteractionBatch,
    InteractionIn,
    InteractionPage,
    InteractionWritten,
)
from app.schemas.ingest.kinds import KindFilter
from app.schemas.responses import problems
from app.services.ingest import interactions

routes = router("interactions")


@routes.post("/interactions", **of_fact(InteractionWritten), **scope("interactions:write"))
async def create_interaction(
    interaction: InteractionIn,
    session: Write,
    deployment: Here,
    now: Now,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Write what happened. 201: created; 200: replaced, or a duplicate."""
    del idempotency_key
    written = await interactions.create(session, deployment, interaction, now=now)
    return answer_fact(response, "interaction", written)


@routes.post(
    "/interactions/bulk",
    response_model=FactBatchAnswer,
    responses=problems(BatchRejected),
    **scope("interactions:write"),
)
async def write_interactions(
    batch: InteractionBatch,
    session: Write,
    deployment: Here,
    now: Now,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Write up to 1,000 interactions. Stages of all touched customers are exact in the answer."""
    del idempotency_key
    atomic = batch.mode == "atomic"
    ingested = await interactions.ingest(
        session, deployment, batch.items, atomic=atomic, now=now, time_zone=batch.time_zone
    )
    return answer_batch("interaction", ingested)


@routes.get(
    "/customers/{customer_id}/interactions",
    response_model=InteractionPage,
    responses=problems(NotFound),
    **scope("customers:read"),
)
async def list_interactions(
    customer_id: CustomerId,
    session: Read,
    deployment: Here,
    page: Page,
    kind: Annotated[
        KindFilter | None, Query(description="only of this kind", examples=["complaint"])
    ] = None,
) -> Any:
    """List a customer's interactions, newest first (`-occurred_at`) or oldest first."""
    return await interactions.of_customer(session, deployment, customer_id, page, kind=kind)
