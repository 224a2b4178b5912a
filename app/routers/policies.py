"""Policies over HTTP."""

from typing import Annotated, Any

from fastapi import Path, Response

from app.errors import Conflict, NotFound, OperationRunning, PreviewExpired, StaleVersion
from app.http.deps import IdempotencyKey, IfMatch, Now, PageInOrder, Principal, Read, Write
from app.routers.api import accept, router, scope
from app.schemas.operations import PolicyActivationOperation, PolicyPreviewOperation
from app.schemas.policies.policies import (
    ActivationRequest,
    Policy,
    PolicyDocument,
    PolicyPage,
    SeasonRequest,
)
from app.schemas.policies.variables import Variables
from app.schemas.responses import headers, problems
from app.services.common import etags
from app.services.policy_changes import activations, previews, versions

routes = router("policies")
Version = Annotated[
    int, Path(ge=1, le=2**31 - 1, description="version of the policy", examples=[2])
]


@routes.get("/policies", response_model=PolicyPage, **scope("customers:read"))
async def list_policies(session: Read, page: PageInOrder) -> Any:
    """List the versions of the policy, newest first; the first seven are ready to use."""
    return await versions.search(session, page)


@routes.post(
    "/policies",
    status_code=201,
    response_model=Policy,
    response_model_exclude_unset=True,
    responses={201: headers("ETag", "Location"), **problems(Conflict)},
    **scope("policies:write"),
)
async def create_policy(
    document: PolicyDocument,
    session: Write,
    now: Now,
    principal: Principal,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Store a new version. It changes nobody's stage before it is activated.

    At most 1,000 versions are kept; those that were never in force can be deleted.
    """
    del idempotency_key
    created = await versions.create(session, document, now=now, by=principal.key_id)
    response.headers["Location"] = f"/v1/policies/{created['version']}"
    response.headers["ETag"] = etags.etag(await versions.generation(session))
    return created


@routes.get(
    "/policies/{version}",
    response_model=Policy,
    response_model_exclude_unset=True,
    responses={200: headers("ETag"), **problems(NotFound)},
    **scope("customers:read"),
)
async def get_policy(version: Version, session: Read, response: Response) -> Any:
    """Return a version, with its rules in words. The ETag changes when any version is activated."""
    policy, generation = await versions.describe(session, version)
    response.headers["ETag"] = etags.etag(generation)
    return policy


@routes.delete(
    "/policies/{version}",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "Deleted"}, **problems(NotFound, Conflict)},
    **scope("policies:write"),
)
async def delete_policy(version: Version, session: Write) -> Response:
    """Delete a version that was never in force.

    One that is ready to use, that an open preview or activation names, or one that has ended within
    the last 24 hours, cannot be deleted. No other version will have the number.
    """
    await versions.delete(session, version)
    return Response(status_code=204)


@routes.post(
    "/policies/{version}/season",
    status_code=201,
    response_model=Policy,
    response_model_exclude_unset=True,
    responses={201: headers("ETag", "Location"), **problems(NotFound, Conflict)},
    **scope("policies:write"),
)
async def create_seasonal_policy(
    version: Version,
    request: SeasonRequest,
    session: Write,
    now: Now,
    principal: Principal,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Store a new version like this one that counts inactivity by a season.

    Its document has the twelve factors that the model has learnt, or those given, and keeps them
    whatever is learnt later. It is previewed and activated as any other, and changes nobody's
    stage before.
    """
    del idempotency_key
    created = await versions.with_season(session, version, request, now=now, by=principal.key_id)
    response.headers["Location"] = f"/v1/policies/{created['version']}"
    response.headers["ETag"] = etags.etag(await versions.generation(session))
    return created


@routes.post(
    "/policies/{version}/preview",
    status_code=202,
    response_model=PolicyPreviewOperation,
    responses={202: headers("Location", "Retry-After"), **problems(NotFound, OperationRunning)},
    **scope("policies:write"),
)
async def preview_policy(
    version: Version,
    session: Write,
    now: Now,
    principal: Principal,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Count whose stage this version would change if it came into force, and what is at stake.

    The result of the operation, a PreviewResult, has the matrix of stages from and to, with
    customers, revenue, 12-month value and samples, whose overrides would be lost, and the token
    that activation takes. Nobody's stage changes.
    """
    del idempotency_key
    operation = await previews.submit(session, version, now=now, by=principal.key_id)
    return accept(response, operation)


@routes.post(
    "/policies/{version}/activate",
    status_code=202,
    response_model=PolicyActivationOperation,
    responses={
        202: headers("Location", "Retry-After"),
        **problems(NotFound, Conflict, OperationRunning, StaleVersion, PreviewExpired),
    },
    **scope("policies:write"),
)
async def activate_policy(
    version: Version,
    request: ActivationRequest,
    session: Write,
    now: Now,
    principal: Principal,
    response: Response,
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Put a version in force, as previewed.

    The operation counts again, and fails with a PreviewStaleProblem, which has the new matrix, if
    a cell has changed by more than `max_drift`; its result is an ActivationResult. Writes and
    `/stage` follow the new version at once; recorded stages do when the operation is done, and
    lists say so by `stage_policy_version`. If that broke off half-way, activate the version once
    more: what is left is done then, whatever the token; or activate another version.
    """
    del idempotency_key
    operation = await activations.submit(
        session, version, request, if_match=if_match, now=now, by=principal.key_id
    )
    return accept(response, operation)


@routes.get("/variables", response_model=Variables, **scope("customers:read"))
async def list_variables(session: Read) -> Any:
    """List the variables that rules may name, and what their values are called."""
    return await versions.variables(session)
