"""Transactions over HTTP."""

from typing import Annotated, Any

from fastapi import Query, Response

from app.errors import AlreadyVoided, BatchRejected, NotFound
from app.http.deps import (
    CustomerId,
    Here,
    IdempotencyKey,
    Now,
    Page,
    Principal,
    Read,
    Since,
    Until,
    Write,
)
from app.routers.api import answer_batch, answer_fact, of_fact, router, scope
from app.routers.ingest.parameters import (
    CustomerIdQuery,
    IncludeVoided,
    SourceQuery,
    VoidReason,
    VoidRevision,
)
from app.schemas.common.types import FactIdentifier, Identifier, Text
from app.schemas.ingest.facts import DEFAULT_SOURCE, FactBatchAnswer
from app.schemas.ingest.transactions import (
    TransactionBatch,
    TransactionIn,
    TransactionKind,
    TransactionPage,
    TransactionVoided,
    TransactionWritten,
    Unallocated,
)
from app.schemas.responses import problems
from app.services.common import as_of as as_ofs
from app.services.ingest import transactions
from app.services.ingest.voids import Voiding

routes = router("transactions")


@routes.post("/transactions", **of_fact(TransactionWritten), **scope("transactions:write"))
async def create_transaction(
    transaction: TransactionIn,
    session: Write,
    deployment: Here,
    now: Now,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Write a purchase or a refund. 201: created; 200: replaced, or a duplicate."""
    del idempotency_key
    written = await transactions.create(session, deployment, transaction, now=now)
    return answer_fact(response, "transaction", written)


@routes.post(
    "/transactions/bulk",
    response_model=FactBatchAnswer,
    responses=problems(BatchRejected),
    **scope("transactions:write"),
)
async def write_transactions(
    batch: TransactionBatch,
    session: Write,
    deployment: Here,
    now: Now,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Write up to 1,000 transactions. Stages of all touched customers are exact in the answer."""
    del idempotency_key
    atomic = batch.mode == "atomic"
    ingested = await transactions.ingest(
        session, deployment, batch.items, atomic=atomic, now=now, time_zone=batch.time_zone
    )
    return answer_batch("transaction", ingested)


@routes.delete(
    "/transactions",
    response_model=TransactionVoided,
    responses=problems(NotFound, AlreadyVoided),
    **scope("transactions:write"),
)
async def void_transaction(
    session: Write,
    deployment: Here,
    now: Now,
    principal: Principal,
    customer_id: CustomerIdQuery,
    transaction_id: Annotated[
        FactIdentifier,
        Query(description="id of the transaction in its system", examples=["order-7731"]),
    ],
    reason: VoidReason,
    source: SourceQuery = DEFAULT_SOURCE,
    revision: VoidRevision = None,
) -> Any:
    """Void a transaction: recorded, with a reason; from now on it counts for nothing.

    The revision that is named, by default the one in force, and all lower ones are out of force;
    a higher one brings the transaction back. All that followed from it is corrected.
    """
    name = (customer_id, source, transaction_id)
    asked = Voiding(name, revision, reason, principal.key_id)
    return await transactions.void(session, deployment, asked, now=now)


@routes.get(
    "/customers/{customer_id}/transactions",
    response_model=TransactionPage,
    responses=problems(NotFound),
    **scope("customers:read"),
)
async def list_transactions(
    customer_id: CustomerId,
    session: Read,
    deployment: Here,
    page: Page,
    include_voided: IncludeVoided = False,
) -> Any:
    """List a customer's transactions, newest first (`-occurred_at`) or oldest first."""
    return await transactions.of_customer(
        session, deployment, customer_id, page, include_voided=include_voided
    )


@routes.get("/transactions", response_model=TransactionPage, **scope("customers:read"))
async def list_all_transactions(
    session: Read,
    deployment: Here,
    page: Page,
    customer_id: Annotated[
        Identifier | None, Query(description="only of this customer", examples=["c-1001"])
    ] = None,
    source: Annotated[
        FactIdentifier | None, Query(description="only of this system", examples=["shop"])
    ] = None,
    kind: Annotated[TransactionKind | None, Query(description="only of this kind")] = None,
    channel: Annotated[
        Text | None, Query(description="only those sold there", examples=["web"])
    ] = None,
    since: Since = None,
    until: Until = None,
    received_since: Annotated[
        str | None,
        Query(
            max_length=40,
            description="only those this service was told of since: an instant, or a day that "
            "means its beginning",
        ),
    ] = None,
    unallocated: Annotated[
        Unallocated | None,
        Query(
            description="only refunds that take back less than they say: those that wait for the "
            "purchase that they name, those that exceed what is left of purchases, or both"
        ),
    ] = None,
) -> Any:
    """List the transactions of all customers that count.

    By the time they happened, `-occurred_at` (default) or `occurred_at`, or by the time this
    service was told of the revision in force, `received_at` or `-received_at`.
    """
    first, last = as_ofs.span(since, until, deployment)
    return await transactions.search(
        session,
        deployment,
        page,
        since=first,
        until=last,
        received_since=as_ofs.beginning(received_since, deployment, "query:received_since"),
        customer_id=customer_id,
        source=source,
        kind=kind,
        channel=channel,
        unallocated=unallocated,
    )
