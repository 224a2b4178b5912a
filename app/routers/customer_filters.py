"""Which customers the plain list is of, as its parameters say it."""

from typing import Annotated, Literal

from fastapi import Depends, Query

from app.errors import MissingScope
from app.http.deps import Here, Principal, Read
from app.schemas.common.personal import READ_PII
from app.schemas.common.types import Code, Line, Text
from app.schemas.scores.rhythm import RhythmStatus
from app.services.common import as_of as as_ofs
from app.services.customers import search
from app.services.runs import query_rules
from app.services.runs.segments import usage


async def _search_text(
    principal: Principal,
    q: Annotated[
        Text | None,
        Query(
            description="what they are found by: a prefix of the id or e-mail; words of the name "
            "or their beginnings, in any order and without accents, of Chinese any part; or three "
            "or more digits of a phone number, in any spelling. Needs the scope "
            f"`{READ_PII}`, as what finds somebody tells it",
            examples=["anna mul", "小明", "0170 12"],
        ),
    ] = None,
) -> str | None:
    if q is not None and not principal.may(READ_PII):
        raise MissingScope(f"`q` needs the scope {READ_PII}.", missing_scope=READ_PII)
    return q


async def _filters(
    deployment: Here,
    session: Read,
    principal: Principal,
    q: Annotated[str | None, Depends(_search_text)],
    stage: Annotated[Text | None, Query(description="the recorded stage")] = None,
    owner: Annotated[Line | None, Query(description="who looks after them")] = None,
    country: Annotated[
        Line | None, Query(description="of this country: a code of ISO 3166-1, or its name")
    ] = None,
    industry: Annotated[Line | None, Query(description="of this industry")] = None,
    channel: Annotated[Line | None, Query(description="how they were acquired")] = None,
    kind: Annotated[
        Literal["person", "company"] | None, Query(description="persons or companies")
    ] = None,
    rhythm: Annotated[
        RhythmStatus | None, Query(description="of this rhythm by the published run")
    ] = None,
    segment: Annotated[
        Code | None,
        Query(
            description="who is kept as a member of this segment; `GET /v1/segments/{code}/members`"
            " asks its rule",
            examples=["high_value"],
        ),
    ] = None,
    updated_since: Annotated[
        str | None,
        Query(
            max_length=40,
            description="whose profile was written since an instant, or the beginning of a day",
            examples=["2026-01-31"],
        ),
    ] = None,
) -> search.Filters:
    since = as_ofs.beginning(updated_since, deployment, "query:updated_since")
    if segment is not None:
        usage.note(await query_rules.require_segment(session, segment, principal.may))
    return search.Filters(
        stage,
        owner,
        country,
        industry,
        channel,
        kind,
        rhythm,
        segment,
        None if since is None else since.at,
        q,
    )


FiltersQuery = Annotated[search.Filters, Depends(_filters)]
