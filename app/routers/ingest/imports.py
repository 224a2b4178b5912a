"""Files over HTTP."""

from typing import Annotated, Any

from fastapi import Path, Query, Request, Response

from app.edge.exports import Export
from app.errors import (
    ExportsBusy,
    ImportsBusy,
    NotFound,
    PayloadTooLarge,
    RequestTimeout,
    ValidationFailed,
)
from app.http.deps import AppState, Here, Now, PageInOrder, Principal, Read, Write
from app.http.repeats import STREAMED
from app.routers.api import accept, router, scope
from app.routers.ingest.parameters import ExchangeRatesQuery, FileFormQuery, PresetParameters
from app.schemas.common.locales import TimeZone
from app.schemas.common.types import FactIdentifier, Identifier, Text
from app.schemas.ingest.imports import ImportDetail, ImportPage
from app.schemas.operations import ImportOperation
from app.schemas.responses import headers, problems
from app.services.ingest.imports import imports, orders, rejections, uploads
from app.services.ingest.imports.orders import ImportOrder

routes = router("imports")
ImportId = Annotated[Text, Path(description="id of the import", examples=["op_4f1d7c0a9be25d18"])]
FORMS = ("text/csv", "application/x-ndjson")
_FILE = {"schema": {"type": "string"}, "example": "order_id,customer_id,date,amount\n"}
_BODY = {
    "required": True,
    "description": "the file as it is, or packed with gzip or zstd",
    "content": dict.fromkeys(FORMS, _FILE),
}


def _of_files(name: str) -> dict[str, Any]:
    declared = scope(name)
    extra = {**declared["openapi_extra"], "requestBody": _BODY, STREAMED: True}
    return {**declared, "openapi_extra": extra}


@routes.post(
    "/imports",
    status_code=202,
    response_model=ImportOperation,
    responses={
        202: headers("Location", "Retry-After"),
        **problems(NotFound, PayloadTooLarge, RequestTimeout, ValidationFailed, ImportsBusy),
    },
    **_of_files("imports:write"),
)
async def start_import(
    request: Request,
    session: Write,
    state: AppState,
    deployment: Here,
    now: Now,
    principal: Principal,
    response: Response,
    preset: Annotated[
        Text | None, Query(description="a preset of `GET /v1/presets`", examples=["orders"])
    ] = None,
    parameters: PresetParameters = None,
    mapping: Annotated[
        Identifier | None, Query(description="a mapping of `GET /v1/mappings`", examples=["shop"])
    ] = None,
    version: Annotated[
        int | None, Query(ge=1, description="version of the mapping; the last one if absent")
    ] = None,
    file: FileFormQuery = None,
    time_zone: Annotated[
        TimeZone | None,
        Query(
            description="the zone, by its name in the IANA database, of times without offset and "
            "of days; that of the mapping if absent"
        ),
    ] = None,
    source: Annotated[
        FactIdentifier | None,
        Query(
            description="the system that the facts come from; that of the mapping if absent",
            examples=["shop"],
        ),
    ] = None,
    exchange_rates: ExchangeRatesQuery = None,
    dry_run: Annotated[
        bool, Query(description="read and check all of it, and keep no fact")
    ] = False,
    name: Annotated[
        Text | None, Query(description="name of the file, to be told by", examples=["orders.csv"])
    ] = None,
) -> Any:
    """Take in a file of any size, by a preset or a mapping. Follow the operation.

    The body is the file itself: CSV, a JSON object a line, or an answer of a system that is known;
    plain, or packed with gzip or zstd. Its encoding and delimiter are found out, and told. Rows
    that are refused are at `/v1/imports/{import_id}/rejected`, to be mended and sent again; facts
    are known again by their ids, so that to send a file twice changes nothing.
    """
    order = ImportOrder(
        preset=preset,
        mapping=mapping,
        version=version,
        parameters=orders.read_object(parameters, "parameters", '{"time_zone":"Europe/Berlin"}'),
        file=orders.read_form(file),
        time_zone=time_zone,
        source=source,
        exchange_rates=orders.read_rates(exchange_rates),
        dry_run=dry_run,
    )
    operation = await uploads.take_in(
        session,
        state.database,
        deployment,
        request.stream(),
        order,
        file_name=name,
        most=state.settings.import_limit,
        now=now,
        by=principal.key_id,
    )
    return accept(response, operation)


@routes.get("/imports", response_model=ImportPage, **scope("imports:read"))
async def list_imports(
    session: Read,
    deployment: Here,
    page: PageInOrder,
    source: Annotated[
        FactIdentifier | None, Query(description="only of this system", examples=["shop"])
    ] = None,
) -> Any:
    """List the files that were sent, newest first."""
    return await imports.search(session, deployment, page, source=source)


@routes.get(
    "/imports/{import_id}",
    response_model=ImportDetail,
    responses=problems(NotFound),
    **scope("imports:read"),
)
async def get_import(import_id: ImportId, session: Read, deployment: Here) -> Any:
    """Return a file that was sent: how it is read, how far, and what came of it."""
    return await imports.describe(session, deployment, import_id)


@routes.get(
    "/imports/{import_id}/rejected",
    response_class=Response,
    responses={
        200: {
            "description": "The refused rows",
            "content": {form: {"schema": {"type": "string"}} for form in FORMS},
            **headers("Content-Disposition"),
        },
        **problems(NotFound, ExportsBusy),
    },
    **scope("imports:read"),
)
async def get_rejected_rows(import_id: ImportId, session: Read, state: AppState) -> Any:
    """Return the rows that were refused, in a file of the shape of the one that was sent.

    Each has its line, the column or field, and the reason behind it, in columns `clm_line`,
    `clm_field` and `clm_reason` that no mapping looks at: mend the rows, and send the file again.
    They are shown as they were sent, so that the key needs the scope `customers:read_pii`, too.
    """
    lines, form, name = await rejections.open_lines(state.database, session, import_id)
    return Export(lines, state.exports, media_type=form, headers={}, filename=name)
