"""Stages and the ledger over HTTP."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query, Response

from app.errors import InvalidTransition, NotFound, StaleVersion
from app.http.deps import (
    AppState,
    AsOfQuery,
    CustomerId,
    Here,
    IdempotencyKey,
    IfMatch,
    Now,
    Page,
    PageInOrder,
    Principal,
    Read,
    Since,
    Until,
    Write,
)
from app.routers.api import router, scope
from app.schemas.common.types import Code
from app.schemas.responses import headers, problems
from app.schemas.stages.stage_history import StageExplanation, StageHistory
from app.schemas.stages.stages import (
    Cause,
    ChurnReasons,
    OverrideRequest,
    StageAnswer,
    TransitionPage,
)
from app.services.common import as_of as as_ofs
from app.services.common import etags
from app.services.ingest import churn_records
from app.services.stages import (
    explanations,
    ledger,
    manual_transitions,
    shared_stages,
    stage_history,
    stages,
    why_churned,
)

routes = router("stages")
PolicyVersion = Annotated[
    int | None,
    Query(ge=1, le=2**31 - 1, description="as if this version had always been in force"),
]


@routes.get(
    "/customers/{customer_id}/stage",
    response_model=StageAnswer,
    responses={200: headers("ETag"), **problems(NotFound)},
    **scope("customers:read"),
)
async def get_stage(
    customer_id: CustomerId,
    session: Read,
    state: AppState,
    now: Now,
    as_of: AsOfQuery,
    response: Response,
    policy_version: PolicyVersion = None,
) -> Any:
    """Return the stage at an instant, from the facts up to it.

    By the policy in force at that instant, unless another is asked for. The ETag is of the
    recorded stage: each transition and each override changes it.
    """
    answer, version = await shared_stages.get(
        state.stages,
        session,
        state.deployment,
        customer_id,
        as_of=as_of,
        policy_version=policy_version,
        now=now,
    )
    response.headers["ETag"] = etags.etag(version)
    return answer


@routes.get(
    "/customers/{customer_id}/stage/explanation",
    response_model=StageExplanation,
    responses=problems(NotFound),
    **scope("customers:read"),
)
async def explain_stage(
    customer_id: CustomerId,
    session: Read,
    deployment: Here,
    now: Now,
    as_of: AsOfQuery,
    policy_version: PolicyVersion = None,
) -> Any:
    """Return each rule in words, with the customer's values, true or false."""
    return await explanations.explain(
        session, deployment, customer_id, as_of=as_of, policy_version=policy_version, now=now
    )


@routes.get(
    "/customers/{customer_id}/stage-history",
    response_model=StageHistory,
    responses=problems(NotFound),
    **scope("customers:read"),
)
async def get_stage_history(
    customer_id: CustomerId, session: Read, deployment: Here, now: Now, as_of: AsOfQuery
) -> Any:
    """Return the periods a customer spent in stages, and the lives."""
    return await stage_history.get(session, deployment, customer_id, as_of=as_of, now=now)


@routes.get(
    "/customers/{customer_id}/transitions",
    response_model=TransitionPage,
    responses=problems(NotFound),
    **scope("customers:read"),
)
async def list_transitions(
    customer_id: CustomerId,
    session: Read,
    page: PageInOrder,
    include_voided: Annotated[
        bool, Query(description="also transitions that later facts disproved")
    ] = False,
) -> Any:
    """List the transitions of a customer between stages, newest first."""
    return await ledger.of_customer(session, customer_id, page, include_voided=include_voided)


@routes.post(
    "/customers/{customer_id}/stage/override",
    status_code=201,
    response_model=StageAnswer,
    responses={
        201: headers("ETag", "Location"),
        **problems(NotFound, InvalidTransition, StaleVersion),
    },
    **scope("customers:write"),
)
async def override_stage(
    customer_id: CustomerId,
    request: OverrideRequest,
    session: Write,
    deployment: Here,
    now: Now,
    principal: Principal,
    response: Response,
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Set the stage of a customer, where the policy allows it, and hold it if asked.

    Without `until` the override stands until the next purchase, or until time or another fact makes
    the rules name another stage than before; what leaves their answer as it is, ends nothing. To
    hold the stage where the customer is makes no transition: `override` tells of it, and the ledger
    does not. A churned stage writes a churn record, of source `manual`, also for one who has
    churned already, whose stage and override it leaves as they are. `If-Match` takes the ETag of
    the stage.
    """
    del idempotency_key
    at = await churn_records.override_stage(
        session, deployment, customer_id, request, if_match=if_match, now=now, by=principal.key_id
    )
    response.headers["Location"] = f"/v1/customers/{quote(customer_id, safe='')}/stage"
    answer, version = await stages.get(
        session, deployment, customer_id, as_of=deployment.as_of(at), policy_version=None, now=now
    )
    response.headers["ETag"] = etags.etag(version)
    return answer


@routes.delete(
    "/customers/{customer_id}/stage/override",
    response_model=StageAnswer,
    responses={200: headers("ETag"), **problems(NotFound, StaleVersion)},
    **scope("customers:write"),
)
async def remove_override(
    customer_id: CustomerId,
    session: Write,
    deployment: Here,
    now: Now,
    principal: Principal,
    response: Response,
    if_match: IfMatch = None,
) -> Any:
    """Let rules decide again from now on; 404 if no override holds the stage.

    If they change the stage, the transition has the reason `override_removed`.
    """
    at = await manual_transitions.remove(
        session, deployment, customer_id, if_match=if_match, now=now, by=principal.key_id
    )
    answer, version = await stages.get(
        session, deployment, customer_id, as_of=deployment.as_of(at), policy_version=None, now=now
    )
    response.headers["ETag"] = etags.etag(version)
    return answer


@routes.get("/transitions", response_model=TransitionPage, **scope("customers:read"))
async def list_all_transitions(
    session: Read,
    deployment: Here,
    page: Page,
    from_: Annotated[
        Code | None, Query(alias="from", description="the stage left", examples=["churned"])
    ] = None,
    to: Annotated[Code | None, Query(description="the stage entered", examples=["churned"])] = None,
    cause: Annotated[
        Cause | None, Query(description="what brought them about", examples=["fact"])
    ] = None,
    since: Since = None,
    until: Until = None,
) -> Any:
    """List the transitions of all customers that count: who churned, who came back.

    By the time they took effect, `-effective_at` (default) or `effective_at`.
    """
    bounds = as_ofs.span(since, until, deployment)
    return await ledger.search(
        session, page, since=bounds[0], until=bounds[1], from_stage=from_, to_stage=to, cause=cause
    )


@routes.get("/churn-reasons", response_model=ChurnReasons, **scope("customers:read"))
async def list_churn_reasons() -> Any:
    """List the reasons for which customers churn: internal ones and external ones."""
    return why_churned.reasons()
