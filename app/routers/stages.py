"""Stages and the ledger over HTTP."""

from typing import Annotated, Any

from fastapi import Query, Response

from app.deps import AsOfQuery, CustomerId, Here, Now, Page, Read
from app.routers.api import router, scope
from app.schemas.responses import headers, problems
from app.schemas.stages import StageAnswer, TransitionPage
from app.services import customers, stages

routes = router("stages")


@routes.get(
    "/customers/{customer_id}/stage",
    response_model=StageAnswer,
    responses={200: headers("ETag"), **problems(404)},
    **scope("customers:read"),
)
async def get_stage(
    customer_id: CustomerId,
    session: Read,
    here: Here,
    now: Now,
    as_of: AsOfQuery,
    response: Response,
) -> Any:
    """Return the stage at an instant, from the facts up to it; the ETag is of the recorded one."""
    answer, version = await stages.get(session, here, customer_id, as_of=as_of, now=now)
    response.headers["ETag"] = customers.etag(version)
    return answer


@routes.get(
    "/customers/{customer_id}/transitions",
    response_model=TransitionPage,
    responses=problems(404),
    **scope("customers:read"),
)
async def list_transitions(
    customer_id: CustomerId,
    session: Read,
    page: Page,
    include_voided: Annotated[
        bool, Query(description="also moves that later facts disproved")
    ] = False,
) -> Any:
    """List the moves of a customer between stages, newest first."""
    return await stages.transitions_of(session, customer_id, page, include_voided=include_voided)
