"""Systems that facts come from, over HTTP."""

from typing import Annotated, Any

from fastapi import Path

from app.errors import NotFound
from app.http.deps import Now, PageInOrder, Read, Write
from app.routers.api import router, scope
from app.schemas.common.types import FactIdentifier
from app.schemas.ingest.sources import FactSource, SourceIn, SourcePage
from app.schemas.responses import problems
from app.services.ingest.imports import sources

routes = router("imports")
SourceId = Annotated[
    FactIdentifier, Path(description="id of the system, as facts name it", examples=["shop"])
]


@routes.get("/sources", response_model=SourcePage, **scope("imports:read"))
async def list_sources(session: Read, page: PageInOrder, now: Now) -> Any:
    """List the systems that files came from or that were described, by id."""
    return await sources.search(session, page, now)


@routes.get(
    "/sources/{source}",
    response_model=FactSource,
    responses=problems(NotFound),
    **scope("imports:read"),
)
async def get_source(source: SourceId, session: Read, now: Now) -> Any:
    """Return a system: what it is, its last file, how far it lags, and what was refused."""
    return await sources.describe(session, source, now)


@routes.put(
    "/sources/{source}",
    response_model=FactSource,
    responses=problems(NotFound),
    **scope("imports:write"),
)
async def put_source(source: SourceId, said: SourceIn, session: Write, now: Now) -> Any:
    """Describe a system that facts come from. Facts name it as their `source`."""
    return await sources.put(session, source, said, now=now)
