"""Transactions over HTTP."""

from typing import Any

from fastapi import Response

from app.deps import CustomerId, Here, IdempotencyKey, Now, Page, Read, Write
from app.errors import BatchRejected, NotFound
from app.routers.api import answer_batch, answer_fact, of_fact, router, scope
from app.schemas.ingest.facts import FactBatchAnswer
from app.schemas.ingest.transactions import (
    TransactionBatch,
    TransactionIn,
    TransactionPage,
    TransactionWritten,
)
from app.schemas.responses import problems
from app.services.ingest import transactions

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


@routes.get(
    "/customers/{customer_id}/transactions",
    response_model=TransactionPage,
    responses=problems(NotFound),
    **scope("customers:read"),
)
async def list_transactions(
    customer_id: CustomerId, session: Read, deployment: Here, page: Page
) -> Any:
    """List a customer's transactions, newest first (`-occurred_at`) or oldest first."""
    return await transactions.of_customer(session, deployment, customer_id, page)
