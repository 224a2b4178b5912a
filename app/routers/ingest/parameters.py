"""Query parameters that name facts, and that void them."""

from typing import Annotated

from fastapi import Query

from app.schemas.common.types import MAX_BIGINT, FactIdentifier, Identifier, Text

CustomerIdQuery = Annotated[
    Identifier, Query(description="id of the customer", examples=["c-1001"])
]
SourceQuery = Annotated[
    FactIdentifier, Query(description="the system the fact came from", examples=["shop"])
]
IncludeVoided = Annotated[bool, Query(description="also facts that were voided")]
VoidReason = Annotated[Text, Query(description="why it is voided", examples=["entered twice"])]
VoidRevision = Annotated[
    int | None,
    Query(ge=1, le=MAX_BIGINT, description="the revision to void; the one in force if absent"),
]
