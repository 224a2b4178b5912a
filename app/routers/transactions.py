"""Transactions over HTTP."""

from typing import Any

from fastapi import Response

from app import metrics
from app.deps import CustomerId, Here, IdempotencyKey, Now, Page, Read, Write
from app.routers.api import router, scope
from app.schemas.common import bulk_answer
from app.schemas.responses import problems
from app.schemas.transactions import (
    TransactionBatch,
    TransactionBatchAnswer,
    TransactionIn,
    TransactionPage,
    TransactionWritten,
)
from app.services import transactions

routes = router("transactions")


@routes.post(
    "/transactions",
    status_code=201,
    response_model=TransactionWritten,
    responses={
        200: {"model": TransactionWritten, "description": "Replaced, or stored before"},
        201: {"description": "Stored"},
        **problems(409),
    },
    **scope("transactions:write"),
)
async def create_transaction(
    transaction: TransactionIn,
    session: Write,
    here: Here,
    now: Now,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Write a purchase or a refund. 201: created; 200: replaced, or a duplicate."""
    del idempotency_key
    written = await transactions.create(session, here, transaction, now=now)
    metrics.count_facts("transaction", written["status"])
    response.status_code = 201 if written["status"] == "created" else 200
    return written


@routes.post(
    "/transactions/bulk",
    response_model=TransactionBatchAnswer,
    responses=problems(409),
    **scope("transactions:write"),
)
async def write_transactions(
    batch: TransactionBatch,
    session: Write,
    here: Here,
    now: Now,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Write up to 1,000 transactions. Stages of all touched customers are exact in the answer."""
    del idempotency_key
    atomic = batch.mode == "atomic"
    ingested = await transactions.ingest(session, here, batch.items, atomic=atomic, now=now)
    metrics.count_all_facts("transaction", ingested.counts())
    return {**bulk_answer(ingested.outcomes), "customers_created": ingested.customers_created}


@routes.get(
    "/customers/{customer_id}/transactions",
    response_model=TransactionPage,
    responses=problems(404),
    **scope("customers:read"),
)
async def list_transactions(customer_id: CustomerId, session: Read, page: Page) -> Any:
    """List a customer's transactions, newest first (`-occurred_at`) or oldest first."""
    return await transactions.of_customer(session, customer_id, page)
