"""Churn records over HTTP."""

from typing import Annotated, Any

from fastapi import Query, Response

from app.errors import AlreadyVoided, NotFound
from app.http.deps import CustomerId, Here, IdempotencyKey, Now, Page, Principal, Read, Write
from app.routers.api import answer_fact, of_fact, router, scope
from app.routers.ingest.parameters import IncludeVoided, SourceQuery, VoidReason, VoidRevision
from app.schemas.common.types import FactIdentifier
from app.schemas.ingest.churn_records import (
    ChurnRecordContent,
    ChurnRecordPage,
    ChurnRecordVoided,
    ChurnRecordWritten,
)
from app.schemas.ingest.facts import DEFAULT_SOURCE
from app.schemas.responses import problems
from app.services.ingest import churn_records
from app.services.ingest.voids import Voiding

routes = router("stages")


@routes.post(
    "/customers/{customer_id}/churn-records",
    **of_fact(ChurnRecordWritten),
    **scope("customers:write"),
)
async def create_churn_record(
    customer_id: CustomerId,
    record: ChurnRecordContent,
    session: Write,
    deployment: Here,
    now: Now,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Write why a customer left. 201: created; 200: replaced, or a duplicate.

    Also of one who left by silence, and of one who has not left yet: `warnings` say so. `/stage`
    and the score card show it while the customer has churned.
    """
    del idempotency_key
    written = await churn_records.create(session, deployment, customer_id, record, now=now)
    return answer_fact(response, "churn_record", written)


@routes.delete(
    "/customers/{customer_id}/churn-records",
    response_model=ChurnRecordVoided,
    responses=problems(NotFound, AlreadyVoided),
    **scope("customers:write"),
)
async def void_churn_record(
    customer_id: CustomerId,
    session: Write,
    deployment: Here,
    now: Now,
    principal: Principal,
    churn_record_id: Annotated[
        FactIdentifier, Query(description="id of the record in its system", examples=["exit-4711"])
    ],
    reason: VoidReason,
    source: SourceQuery = DEFAULT_SOURCE,
    revision: VoidRevision = None,
) -> Any:
    """Void a churn record: recorded, with a reason; from now on it counts for nothing."""
    asked = Voiding((customer_id, source, churn_record_id), revision, reason, principal.key_id)
    return await churn_records.void(session, deployment, asked, now=now)


@routes.get(
    "/customers/{customer_id}/churn-records",
    response_model=ChurnRecordPage,
    responses=problems(NotFound),
    **scope("customers:read"),
)
async def list_churn_records(
    customer_id: CustomerId,
    session: Read,
    deployment: Here,
    page: Page,
    include_voided: IncludeVoided = False,
) -> Any:
    """List a customer's churn records, newest first (`-occurred_at`) or oldest first."""
    return await churn_records.of_customer(
        session, deployment, customer_id, page, include_voided=include_voided
    )
