"""Kinds of interactions over HTTP."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path, Response

from app.errors import NotFound, StaleVersion
from app.http.deps import IfMatch, Now, PageInOrder, Read, Write
from app.routers.api import router, scope
from app.schemas.ingest.kinds import KindFilter
from app.schemas.interaction_kinds import DeclaredKind, KindIn, KindPage
from app.schemas.responses import headers, problems
from app.services.common import etags, interaction_kinds

routes = router("interactions")
Word = Annotated[KindFilter, Path(description="the word for the kind", examples=["csat"])]


@routes.put(
    "/interaction-kinds/{kind}",
    response_model=DeclaredKind,
    responses={
        200: {"description": "A kind that was declared before", **headers("ETag", "Location")},
        201: {
            "model": DeclaredKind,
            "description": "The kind is new",
            **headers("ETag", "Location"),
        },
        **problems(StaleVersion),
    },
    **scope("policies:write"),
)
async def put_interaction_kind(
    kind: Word,
    declaration: KindIn,
    session: Write,
    now: Now,
    response: Response,
    if_match: IfMatch = None,
) -> Any:
    """Declare what a kind of interactions is.

    Interactions that come later are held to it. It changes nobody's stage or churn risk: versions
    of the policy and models keep what was declared when they were made.
    """
    row, created = await interaction_kinds.put(
        session, kind, declaration, if_match=if_match, now=now
    )
    response.status_code = 201 if created else 200
    response.headers["ETag"] = etags.etag(row.version)
    response.headers["Location"] = f"/v1/interaction-kinds/{quote(kind, safe='')}"
    return interaction_kinds.to_response(row)


@routes.get(
    "/interaction-kinds/{kind}",
    response_model=DeclaredKind,
    responses={200: headers("ETag"), **problems(NotFound)},
    **scope("customers:read"),
)
async def get_interaction_kind(kind: Word, session: Read, response: Response) -> Any:
    """Return what a kind of interactions is declared to be."""
    row = await interaction_kinds.get(session, kind)
    response.headers["ETag"] = etags.etag(row.version)
    return interaction_kinds.to_response(row)


@routes.get("/interaction-kinds", response_model=KindPage, **scope("customers:read"))
async def list_interaction_kinds(session: Read, page: PageInOrder) -> Any:
    """List the declared kinds of interactions, by their words."""
    return await interaction_kinds.search(session, page)
