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
PresetParameters = Annotated[
    str | None,
    Query(
        max_length=20_000,
        description="what the preset is to be told, as a JSON object: see its `parameters`",
        examples=['{"time_zone":"Europe/Berlin"}'],
    ),
]
FileFormQuery = Annotated[
    str | None,
    Query(
        max_length=20_000,
        description="how the file is written, where that is not to be found out, as a JSON object: "
        "the `file` of a mapping",
        examples=['{"columns":["customer","ordered_on","amount"],"delimiter":";"}'],
    ),
]
ExchangeRatesQuery = Annotated[
    str | None,
    Query(
        max_length=20_000,
        description="units of the deployment's currency for one of another, by its code of ISO "
        "4217, as a JSON object: for transactions of the file that have no rate of their own",
        examples=['{"USD":"0.92"}'],
    ),
]
