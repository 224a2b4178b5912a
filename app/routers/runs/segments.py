"""Segments over HTTP."""

from typing import Annotated, Any

from fastapi import Path, Query, Response

from app.errors import Conflict, InvalidCursor, NoModel, NotFound, OperationRunning, StaleVersion
from app.http.deps import (
    AppState,
    AsOfQuery,
    CustomerId,
    Here,
    IfMatch,
    InstantOrDay,
    Now,
    PageInOrder,
    Principal,
    Read,
    Write,
    WriteIfNeeded,
)
from app.routers.api import accept, router, scope
from app.schemas.common.types import Code
from app.schemas.customer_segments import SegmentsOfCustomer
from app.schemas.operations import CustomerAggregateOperation
from app.schemas.responses import headers, problems
from app.schemas.segment_quality import SegmentQuality
from app.schemas.segments import (
    Segment,
    SegmentIn,
    SegmentMemberPage,
    SegmentPage,
    SegmentPreview,
    SegmentVersionPage,
)
from app.services.common import etags
from app.services.runs import aggregates, query_parts
from app.services.runs.segments import changes, customer_segments, members, previews, quality

routes = router("segments")
SegmentPath = Annotated[Code, Path(description="code of the segment", examples=["high_value"])]


@routes.put(
    "/segments/{code}",
    response_model=Segment,
    responses={
        200: {"description": "A segment that was declared before", **headers("ETag", "Location")},
        201: {"model": Segment, "description": "It is new", **headers("ETag", "Location")},
        **problems(Conflict, StaleVersion),
    },
    **scope("policies:write"),
)
async def put_segment(
    code: SegmentPath,
    segment: SegmentIn,
    session: Write,
    now: Now,
    principal: Principal,
    response: Response,
    if_match: IfMatch = None,
) -> Any:
    """Declare what a segment is; another rule, name or owner makes another version.

    At most 200 are in force. One inside itself, by its rule or its parent, is refused, and a rule
    by which others, or those of the worklist in force, could not be read any more.
    """
    found, created = await changes.put(
        session, code, segment, if_match=if_match, now=now, by=principal.key_id
    )
    response.status_code = 201 if created else 200
    response.headers["ETag"] = etags.etag(found["version"])
    response.headers["Location"] = f"/v1/segments/{code}"
    return found


@routes.get("/segments", response_model=SegmentPage, **scope("customers:read"))
async def list_segments(session: Read, page: PageInOrder) -> Any:
    """List the segments in force, by their codes."""
    return await changes.search(session, page)


@routes.get(
    "/segments/{code}",
    response_model=Segment,
    responses={200: headers("ETag"), **problems(NotFound)},
    **scope("customers:read"),
)
async def get_segment(code: SegmentPath, session: Read, response: Response) -> Any:
    """Return a segment, its rule also in words."""
    found = await changes.describe(session, code)
    response.headers["ETag"] = etags.etag(found["version"])
    return found


@routes.delete(
    "/segments/{code}",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "Retired"}, **problems(NotFound, Conflict)},
    **scope("policies:write"),
)
async def remove_segment(code: SegmentPath, session: Write, now: Now) -> Response:
    """Take a segment out of force. What is kept of who was in it stays.

    One that others name, or the worklist in force, cannot be retired. Declared again, it goes on
    with the next version.
    """
    await changes.retire(session, code, now=now)
    return Response(status_code=204)


@routes.get(
    "/segments/{code}/versions",
    response_model=SegmentVersionPage,
    responses=problems(NotFound),
    **scope("customers:read"),
)
async def list_segment_versions(code: SegmentPath, session: Read, page: PageInOrder) -> Any:
    """List what a segment was declared to be, newest first."""
    return await changes.versions(session, code, page)


@routes.get(
    "/segments/{code}/members",
    response_model=SegmentMemberPage,
    responses=problems(NotFound, InvalidCursor, NoModel),
    **scope("customers:read"),
)
async def list_segment_members(
    code: SegmentPath,
    session: Read,
    deployment: Here,
    now: Now,
    principal: Principal,
    page: PageInOrder,
    as_of: InstantOrDay = None,
) -> Any:
    """List who is in a segment by the version in force, now or at an earlier instant, by id.

    It is the query with `{"segment": code}`, which also counts, sorts and selects. Scopes are
    those that the variables of the rule ask for.
    """
    return await members.search(
        session, deployment, code, as_of=as_of, limit=page.limit, cursor=page.cursor,
        secret=page.secret, now=now, may=principal.may,
    )  # fmt: skip


@routes.post(
    "/segments/{code}/preview",
    response_model=SegmentPreview | CustomerAggregateOperation,
    responses={
        200: {"model": SegmentPreview},
        202: {"model": CustomerAggregateOperation, **headers("Location", "Retry-After")},
        **problems(NoModel, OperationRunning),
    },
    **scope("customers:read"),
)
async def preview_segment(
    code: SegmentPath,
    segment: SegmentIn,
    state: AppState,
    session: Read,
    deployment: Here,
    now: Now,
    principal: Principal,
    begin: WriteIfNeeded,
    response: Response,
) -> Any:
    """Count who would enter and leave if the segment were declared to be this, and their money.

    Nothing changes, and it need not be there yet. What it would do to segments that name this one
    is not counted. A rule that has to be evaluated for many takes a worker: 202, whose groups tell
    who would be inside, and of those and the others who is so now.
    """
    asked: dict[str, Any] = {"now": now, "may": principal.may}
    found = await previews.preview(
        session, deployment, code, segment, secret=state.cursor_secret, **asked
    )
    if found is not None:
        return found
    response.status_code = 202
    body = await previews.in_groups(session, code, segment, may=principal.may)
    operation = await query_parts.submit(
        await begin(), aggregates.AGGREGATE, body, by=principal.key_id, **asked
    )
    return accept(response, operation)


@routes.get(
    "/customers/{customer_id}/segments",
    response_model=SegmentsOfCustomer,
    responses=problems(NotFound),
    **scope("customers:read"),
)
async def list_customer_segments(
    customer_id: CustomerId,
    session: Read,
    deployment: Here,
    as_of: AsOfQuery,
    principal: Principal,
) -> Any:
    """Tell in which segments a customer is, since when, and what would bring in or out.

    Whether the customer is inside is evaluated; dates are those that were kept.
    """
    return await customer_segments.describe(
        session, deployment, customer_id, as_of, may=principal.may
    )


@routes.get(
    "/segments/{code}/quality",
    response_model=SegmentQuality,
    responses=problems(NotFound),
    **scope("customers:read"),
)
async def get_segment_quality(
    code: SegmentPath,
    session: Read,
    deployment: Here,
    now: Now,
    principal: Principal,
    days: Annotated[
        int, Query(ge=7, le=730, description="days back that members are compared over")
    ] = 90,
) -> Any:
    """Tell how large and steady a segment is, what it shares with others, and if its cut matters.

    Members of an earlier day are held against as many who were just outside, over the days since;
    this is no proof that being inside causes what differs. Scopes are those that the variables of
    the rule ask for; other segments whose rules the key may not ask are left out.
    """
    return await quality.describe(session, deployment, code, days=days, now=now, may=principal.may)
