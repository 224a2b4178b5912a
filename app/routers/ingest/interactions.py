"""Interactions over HTTP."""

from typing import Annotated, Any

from fastapi import Query, Response

from app.errors import AlreadyVoided, BatchRejected, NotFound
from app.http.deps import CustomerId, Here, IdempotencyKey, Now, Page, Principal, Read, Write
from app.routers.api import answer_batch, answer_fact, of_fact, router, scope
from app.routers.ingest.parameters import (
    CustomerIdQuery,
    IncludeVoided,
    SourceQuery,
    VoidReason,
    VoidRevision,
)
from app.schemas.common.types import FactIdentifier
from app.schemas.ingest.facts import DEFAULT_SOURCE, FactBatchAnswer
from app.schemas.ingest.interactions import (
    InteractionBatch,
    InteractionIn,
    InteractionPage,
    InteractionVoided,
    InteractionWritten,
)
from app.schemas.ingest.kinds import KindFilter
from app.schemas.responses import problems
from app.services.ingest import interactions
from app.services.ingest.voids import Voiding

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


@routes.delete(
    "/interactions",
    response_model=InteractionVoided,
    responses=problems(NotFound, AlreadyVoided),
    **scope("interactions:write"),
)
async def void_interaction(
    session: Write,
    deployment: Here,
    now: Now,
    principal: Principal,
    customer_id: CustomerIdQuery,
    interaction_id: Annotated[
        FactIdentifier,
        Query(description="id of the interaction in its system", examples=["ticket-4711"]),
    ],
    reason: VoidReason,
    source: SourceQuery = DEFAULT_SOURCE,
    revision: VoidRevision = None,
) -> Any:
    """Void an interaction: recorded, with a reason; from now on it counts for nothing.

    The revision that is named, by default the one in force, and all lower ones are out of force;
    a higher one brings the interaction back. All that followed from it is corrected.
    """
    name = (customer_id, source, interaction_id)
    asked = Voiding(name, revision, reason, principal.key_id)
    return await interactions.void(session, deployment, asked, now=now)


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
    include_voided: IncludeVoided = False,
) -> Any:
    """List a customer's interactions, newest first (`-occurred_at`) or oldest first."""
    return await interactions.of_customer(
        session, deployment, customer_id, page, include_voided=include_voided, kind=kind
    )
