"""What an import is asked for, and the mapping that this comes to for the file that was sent."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError
from sqlalchemy import select

from app.deployment import Deployment
from app.errors import FieldError, NotFound, ValidationFailed, printable
from app.mappings.compiling import Context, Plan, compile_mapping, parse
from app.mappings.detection import Detected, detect
from app.mappings.document import FileForm, MappingDocument
from app.mappings.faults import InvalidMapping, UnreadableFile
from app.mappings.presets import registry
from app.mappings.presets.preset import Preset
from app.mappings.reading import refusals_header
from app.models import Mapping as StoredMapping
from app.postgres.db import AnyRow, ReadSession
from app.schemas.common.shapes import detail_of, to_pointer
from app.schemas.common.types import ExchangeRate
from app.services.common.stored_documents import Section

HEADER = "refusals_header"
"""What a file of refused rows begins with; kept with the layout, and not told."""
_TIME_ZONE = "time_zone"


class ImportOrder(Section):
    """How a file is to be read: by a preset with its parameters, or by a mapping that is stored."""

    preset: str | None = None
    mapping: str | None = None
    version: int | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    file: FileForm = Field(default_factory=FileForm)
    time_zone: str | None = None
    source: str | None = None
    exchange_rates: dict[str, str] = Field(default_factory=dict)
    dry_run: bool = False


def read_object(text: str | None, name: str, example: str) -> dict[str, Any]:
    """Return a JSON object that stands in a query."""
    try:
        given = json.loads(text or "{}")
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        detail = f"must be a JSON object, such as {example}"
        raise ValidationFailed(errors=[FieldError(f"query:{name}", "json_object", detail)])
    return given


def read_form(text: str | None) -> FileForm:
    """Return how a file is said to be written, which stands in a query as a JSON object."""
    return form_of(read_object(text, "file", '{"delimiter":";"}'), "query:file")


def form_of(given: Mapping[str, Any], under: str) -> FileForm:
    """Return how a file is said to be written."""
    try:
        return FileForm.model_validate(given)
    except ValidationError as error:
        faults = [
            FieldError(f"{under}{to_pointer(each['loc'])}", each["type"], detail_of(each))
            for each in error.errors(include_url=False, include_input=False)[:20]
        ]
        raise ValidationFailed(errors=faults) from None


_RATE = TypeAdapter(ExchangeRate)


def read_rates(text: str | None) -> dict[str, str]:
    """Return rates by currency, which stand in a query as a JSON object."""
    given = read_object(text, "exchange_rates", '{"USD":"0.92"}')
    faults = []
    for currency, rate in given.items():
        try:
            _RATE.validate_python(rate)
        except ValidationError as error:
            pointer = f"query:exchange_rates{to_pointer((currency,))}"
            faults.append(FieldError(pointer, "exchange_rate", detail_of(error.errors()[0])))
    if faults:
        raise ValidationFailed(errors=faults[:20])
    return {currency: str(rate) for currency, rate in given.items()}


async def check(session: ReadSession, order: ImportOrder) -> ImportOrder:
    """Refuse an order that no file fits; return it with the version of the mapping.

    Whoever sends a file of gigabytes is to be told before it has arrived.
    """
    if (order.preset is None) == (order.mapping is None):
        detail = (
            "name a preset of GET /v1/presets or a mapping of GET /v1/mappings: nothing is guessed."
            " POST /v1/mappings/propose says which may fit a file"
        )
        raise ValidationFailed(errors=[FieldError("query:preset", "needed", detail)])
    if order.preset is not None:
        preset_of(order.preset)
        return order
    row = await stored(session, str(order.mapping), order.version)
    return order.model_copy(update={"version": row.version})


async def stored(session: ReadSession, name: str, version: int | None) -> AnyRow:
    """Return a version of a mapping as it is stored, the last one if none is named."""
    row = await last(session, name, version)
    if row is None:
        of = "" if version is None else f" of version {version}"
        raise NotFound(f"There is no mapping {printable(name)!r}{of}.")
    return row


async def last(session: ReadSession, name: str, version: int | None = None) -> AnyRow | None:
    """Return the last version of a mapping, or the one that is named, if there is one."""
    statement = (
        select(*StoredMapping.__table__.columns)
        .where(StoredMapping.name == name)
        .order_by(StoredMapping.version.desc())
        .limit(1)
    )
    if version is not None:
        statement = statement.where(StoredMapping.version == version)
    return (await session.execute(statement)).one_or_none()


async def document_of(session: ReadSession, order: ImportOrder, head: bytes) -> MappingDocument:
    """Return the mapping that an order comes to for a file that begins like this."""
    if order.mapping is not None:
        row = await stored(session, order.mapping, order.version)
        document = parse(row.document)
    else:
        document = await asyncio.to_thread(
            built, order.preset, order.parameters, order.time_zone, head, order.file
        )
    document, changed = with_form(document, order.file), dict[str, Any]()
    if order.source is not None:
        changed["source"] = order.source
    if order.time_zone is not None:
        changed["times"] = document.times.model_copy(update={"zone": order.time_zone})
    return document.model_copy(update=changed)


def parsed(document: Mapping[str, Any]) -> MappingDocument:
    """Return a mapping that a caller wrote."""
    try:
        return parse(document)
    except InvalidMapping as invalid:
        raise refused(invalid, "/document") from None


def with_form(document: MappingDocument, said: FileForm) -> MappingDocument:
    """Return a mapping of a file that is written as is said."""
    file = document.file.model_copy(update=said.model_dump(exclude_none=True))
    return document.model_copy(update={"file": file})


def built(
    name: str | None,
    parameters: Mapping[str, Any],
    time_zone: str | None,
    head: bytes,
    file: FileForm,
) -> MappingDocument:
    """Return the mapping of a preset for a file that begins like this."""
    preset = preset_of(str(name))
    given = dict(parameters)
    if time_zone is not None and any(each.name == _TIME_ZONE for each in preset.parameters):
        given.setdefault(_TIME_ZONE, time_zone)
    try:
        document = registry.build(preset.name, detect(head, file), given)
    except InvalidMapping as invalid:
        raise refused(invalid, "") from None
    except UnreadableFile as error:
        raise unreadable(error) from None
    return with_form(document, file)


def preset_of(name: str) -> Preset:
    """Return a preset; refuse a name that is none."""
    if name not in registry.PRESETS:
        detail = f"{printable(name)} is no preset of GET /v1/presets"
        raise ValidationFailed(errors=[FieldError("query:preset", "unknown_preset", detail)])
    return registry.PRESETS[name]


def plan_of(
    document: MappingDocument, head: bytes, deployment: Deployment
) -> tuple[Detected, Plan]:
    """Return what a file is, and its mapping made ready for it."""
    try:
        detected = detect(head, document.file)
        return detected, compile_mapping(document, detected, Context(deployment.currency))
    except UnreadableFile as error:
        raise unreadable(error) from None
    except InvalidMapping as invalid:
        raise refused(invalid, "") from None


def unreadable(error: UnreadableFile) -> ValidationFailed:
    """Return the problem of a file that cannot be read as a whole."""
    detail = error.detail if error.hint is None else f"{error.detail}: {error.hint}"
    return ValidationFailed(
        "The file cannot be read.", errors=[FieldError("", error.code, printable(detail, 500))]
    )


def refused(invalid: InvalidMapping, under: str) -> ValidationFailed:
    """Return the problem of a mapping that is none, or does not fit the file."""
    faults = [
        FieldError(f"{under}{fault.pointer}", fault.code, printable(fault.detail, 300))
        for fault in invalid.faults[:100]
    ]
    return ValidationFailed("The mapping does not fit.", errors=faults)


def told(detected: Detected, packed_with: list[str]) -> dict[str, Any]:
    """Return what is told of how a file is written."""
    return {
        "packed_with": packed_with,
        "form": detected.form,
        "encoding": detected.encoding,
        "encoding_certain": detected.encoding_certain,
        "delimiter": detected.delimiter,
        "columns": list(detected.columns),
        "notes": list(detected.notes),
    }


def layout_of(detected: Detected, packed_with: list[str]) -> dict[str, Any]:
    """Return what is kept of how a file is written."""
    return {**told(detected, packed_with), HEADER: refusals_header(detected)}
