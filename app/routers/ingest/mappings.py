"""Mappings and presets over HTTP."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path, Query, Response

from app.errors import Conflict, NotFound
from app.http.deps import Here, Now, PageInOrder, Principal, Read, Write
from app.routers.api import router, scope
from app.schemas.common.types import Identifier
from app.schemas.ingest.mappings import (
    MappingIn,
    MappingPage,
    MappingProposal,
    MappingProposalRequest,
    MappingStored,
    MappingTest,
    MappingTestAnswer,
    PresetList,
)
from app.schemas.responses import headers, problems
from app.services.ingest.imports import mappings

routes = router("imports")
Name = Annotated[Identifier, Path(description="what the mapping is called", examples=["shop"])]


@routes.get("/mappings", response_model=MappingPage, **scope("imports:read"))
async def list_mappings(session: Read, page: PageInOrder) -> Any:
    """List the mappings, each in its last version, by name."""
    return await mappings.search(session, page)


@routes.get(
    "/mappings/{name}",
    response_model=MappingStored,
    responses=problems(NotFound),
    **scope("imports:read"),
)
async def get_mapping(
    name: Name,
    session: Read,
    version: Annotated[
        int | None, Query(ge=1, description="number of the version; the last one if absent")
    ] = None,
) -> Any:
    """Return a mapping. Versions are never edited."""
    return await mappings.describe(session, name, version)


@routes.put(
    "/mappings/{name}",
    response_model=MappingStored,
    responses={
        200: {"description": "It is the last version already", **headers("Location")},
        201: {
            "model": MappingStored,
            "description": "A new version",
            **headers("Location"),
        },
        **problems(NotFound, Conflict),
    },
    **scope("imports:write"),
)
async def put_mapping(
    name: Name,
    request: MappingIn,
    session: Write,
    now: Now,
    principal: Principal,
    response: Response,
) -> Any:
    """Store a mapping as its next version. Imports that name none use the last one."""
    found, is_new = await mappings.put(
        session, name, request.document, now=now, by=principal.key_id
    )
    response.status_code = 201 if is_new else 200
    place = f"/v1/mappings/{quote(name, safe='')}?version={found['version']}"
    response.headers["Location"] = place
    return found


@routes.post("/mappings/test", response_model=MappingTestAnswer, **scope("imports:read"))
async def try_mapping(request: MappingTest, deployment: Here) -> Any:
    """Read a sample by a mapping or a preset. Nothing is kept; it can be asked again.

    The answer has the first facts, each kind of refusal, and what the filters leave out.
    """
    return await mappings.test(deployment, request)


@routes.post("/mappings/propose", response_model=MappingProposal, **scope("imports:read"))
async def propose_mapping(request: MappingProposalRequest, deployment: Here) -> Any:
    """Propose a mapping for a file by its first rows, with the questions that remain.

    Nothing is applied by it: name the preset with its parameters, or store the mapping.
    """
    return await mappings.proposal(deployment, request)


@routes.get("/presets", response_model=PresetList, **scope("imports:read"))
async def list_presets() -> Any:
    """List the presets: layouts of systems that are known, and what each has to be told."""
    return mappings.presets()
