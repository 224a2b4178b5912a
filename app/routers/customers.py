"""Customers over HTTP."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Query, Response

from app.days import AsOf
from app.errors import BatchRejected, MissingScope, NotFound, StaleVersion
from app.http.deps import (
    CustomerId,
    Here,
    IdempotencyKey,
    IfMatch,
    InstantOrDay,
    Now,
    Page,
    PageInOrder,
    Principal,
    Read,
    Write,
)
from app.routers.api import router, scope
from app.routers.customer_filters import FiltersQuery
from app.schemas.common.shapes import BulkAnswer, bulk_answer
from app.schemas.common.types import Text
from app.schemas.customers import (
    CustomerAt,
    CustomerBatch,
    CustomerPage,
    CustomerWritten,
    ProfilePatch,
    ProfileWrite,
)
from app.schemas.ingest.profile_history import ProfileHistoryPage
from app.schemas.responses import headers, problems
from app.services.common import as_of as as_ofs
from app.services.common import etags
from app.services.customers import search
from app.services.ingest import bulk_profiles, profile_history, profiles
from app.services.runs import sub_stages

routes = router("customers")


async def _past_as_of(deployment: Here, now: Now, as_of: InstantOrDay = None) -> AsOf | None:
    return None if as_of is None else as_ofs.parse(as_of, deployment, now)


async def _recorded_at(
    deployment: Here,
    now: Now,
    recorded_at: Annotated[
        str | None,
        Query(
            max_length=40,
            description="by what was known at this instant, or at the end of this day; default: by "
            "all that is known now",
            examples=["2026-01-31"],
        ),
    ] = None,
) -> AsOf | None:
    if recorded_at is None:
        return None
    return as_ofs.parse(recorded_at, deployment, now, pointer="query:recorded_at")


PastAsOfQuery = Annotated[AsOf | None, Depends(_past_as_of)]
"""None for the present: what is stored is shown, whatever the clock says."""
RecordedAtQuery = Annotated[AsOf | None, Depends(_recorded_at)]


@routes.put(
    "/customers/{customer_id}",
    response_model=CustomerWritten,
    responses={
        200: {"description": "The profile of a known customer", **headers("ETag", "Location")},
        201: {
            "model": CustomerWritten,
            "description": "The customer is new",
            **headers("ETag", "Location"),
        },
        **problems(StaleVersion),
    },
    **scope("customers:write"),
)
async def put_customer(
    customer_id: CustomerId,
    profile: ProfileWrite,
    session: Write,
    deployment: Here,
    now: Now,
    principal: Principal,
    response: Response,
    if_match: IfMatch = None,
) -> Any:
    """Make the profile exactly this. 201 if the customer is new."""
    written = await profiles.put(
        session,
        deployment,
        customer_id,
        profile,
        if_match=if_match,
        now=now,
        by=principal.key_id,
    )
    response.status_code = 201 if written.created else 200
    response.headers["ETag"] = etags.etag(written.row.profile_version)
    response.headers["Location"] = f"/v1/customers/{quote(customer_id, safe='')}"
    return written.to_response()


@routes.patch(
    "/customers/{customer_id}",
    response_model=CustomerWritten,
    responses={200: headers("ETag"), **problems(NotFound, StaleVersion)},
    **scope("customers:write"),
)
async def patch_customer(
    customer_id: CustomerId,
    change: ProfilePatch,
    session: Write,
    deployment: Here,
    now: Now,
    principal: Principal,
    response: Response,
    if_match: IfMatch = None,
) -> Any:
    """Merge a change into the profile: absent fields stay, null clears (RFC 7396)."""
    written = await profiles.patch(
        session,
        deployment,
        customer_id,
        change,
        if_match=if_match,
        now=now,
        by=principal.key_id,
    )
    response.headers["ETag"] = etags.etag(written.row.profile_version)
    return written.to_response()


@routes.get(
    "/customers/{customer_id}",
    response_model=CustomerAt,
    responses={200: headers("ETag"), **problems(NotFound)},
    **scope("customers:read"),
)
async def get_customer(
    customer_id: CustomerId,
    session: Read,
    deployment: Here,
    now: Now,
    as_of: PastAsOfQuery,
    recorded_at: RecordedAtQuery,
    response: Response,
) -> Any:
    """Return the profile that was valid at an instant, and the recorded stage of then.

    By all that is known now, or with `recorded_at` by what was known at that time. The ETag is of
    what is stored now, whichever instant is asked for.
    """
    found = await profile_history.get(
        session, deployment, customer_id, as_of=as_of, recorded_at=recorded_at, now=now
    )
    response.headers["ETag"] = etags.etag(found["profile_version"])
    return found


@routes.get(
    "/customers/{customer_id}/profile-history",
    response_model=ProfileHistoryPage,
    responses=problems(NotFound),
    **scope("customers:read"),
)
async def list_profile_history(
    customer_id: CustomerId,
    session: Read,
    now: Now,
    page: PageInOrder,
    field: Annotated[
        Text | None,
        Query(
            description="only this field: one of the profile, `attributes.` and a key, or "
            "`attributes` for all keys",
            examples=["country"],
        ),
    ] = None,
) -> Any:
    """List what was said of the profile, by whom and since when, what became known last first."""
    return await profile_history.page(session, customer_id, page, field=field, now=now)


@routes.get("/customers", response_model=CustomerPage, **scope("customers:read"))
async def list_customers(
    session: Read,
    page: Page,
    filters: FiltersQuery,
    principal: Principal,
    deployment: Here,
    now: Now,
    sub_stage: Annotated[
        Text | None,
        Query(
            description="of this sub-stage by the policy in force; not with `q`, `updated_since`, "
            "nor sorted by `created_at` or `updated_at`",
            examples=["contacted"],
        ),
    ] = None,
) -> Any:
    """List customers, by `customer_id` (default) or another key, `-` in front for descending.

    Keys are `created_at`, `updated_at`, `last_purchase`, `value_to_save` and `clv`; those of whom
    it is not known come last. The last two and `rhythm` are what the published run found, and need
    `scores:read`. Any other question: `POST /v1/customers/query`.
    """
    if search.needs_run(page, filters) and not principal.may("scores:read"):
        raise MissingScope("What a run found needs scores:read.", missing_scope="scores:read")
    if sub_stage is not None:
        return await sub_stages.search(session, deployment, page, filters, sub_stage, now=now)
    return await search.search(session, page, filters)


@routes.post(
    "/customers/bulk",
    response_model=BulkAnswer,
    responses=problems(BatchRejected),
    **scope("customers:write"),
)
async def write_customers(
    batch: CustomerBatch,
    session: Write,
    deployment: Here,
    now: Now,
    principal: Principal,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Merge up to 1,000 profiles like PATCH; customers not known are made."""
    del idempotency_key
    outcomes, warnings = await bulk_profiles.merge(
        session,
        deployment,
        batch.items,
        atomic=batch.mode == "atomic",
        now=now,
        by=principal.key_id,
    )
    return bulk_answer(outcomes, warnings)
