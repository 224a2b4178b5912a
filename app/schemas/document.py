"""Schemas as generators of clients read them best; what pydantic writes is right, but wordy.

Everything here changes the document in place.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import TypeAdapter

Part = dict[str, Any]
_REFERENCE = "#/components/schemas/"


def tidy(document: Part) -> None:
    """Make the schemas say each thing once, and in the plainest way."""
    _join_twins(document)
    schemas: dict[str, Part] = document["components"]["schemas"]
    for part in walk(document):
        if isinstance(part.get("title"), str) and part is not document["info"]:
            del part["title"]  # the name said again: generators make class names of it
        if "default" in part and part["default"] is None:
            del part["default"]  # to be absent is to be null
    for operation in operations(document):
        for parameter in operation.get("parameters", ()):
            _drop_null(parameter["schema"])
            _lift(parameter["schema"], parameter)
        _part_statuses(operation)
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            _lift_from_union(field)
    _tell_defaults(document)


def _join_twins(document: Part) -> None:
    """Call by one name what goes in and comes out alike: of what holds its own kind, two are made.

    A rule that was read can then be sent back.
    """
    schemas: dict[str, Part] = document["components"]["schemas"]
    twins = {name: name.removesuffix("-Input") for name in schemas if name.endswith("-Input")}
    names = {f"{plain}{end}": plain for plain in twins.values() for end in ("-Input", "-Output")}
    for part in walk(document):
        reference = part.get("$ref")
        if isinstance(reference, str) and reference.removeprefix(_REFERENCE) in names:
            part["$ref"] = _REFERENCE + names[reference.removeprefix(_REFERENCE)]
    for given, plain in twins.items():
        schemas[plain] = schemas.pop(given)
        assert schemas.pop(f"{plain}-Output") == schemas[plain], plain


def operations(document: Part) -> Iterator[Part]:
    for path in document["paths"].values():
        yield from path.values()


def walk(part: Any) -> Iterator[Part]:
    """Yield every object of a document but for data that is shown, the outer ones first."""
    if isinstance(part, dict):
        yield part
        for key, child in part.items():
            if key not in ("example", "examples"):
                yield from walk(child)
    elif isinstance(part, list):
        for child in part:
            yield from walk(child)


def _part_statuses(operation: Part) -> None:
    """Let a status that says its form say no other: FastAPI adds those of all statuses."""
    for response in operation["responses"].values():
        for content in response.get("content", {}).values():
            if "$ref" in content.get("schema", {}):
                content["schema"].pop("anyOf", None)


def _drop_null(schema: Part) -> None:
    """Say nothing of null where there is no way to send it: in queries and headers."""
    members = schema.get("anyOf", [])
    plain = [each for each in members if each != {"type": "null"}]
    if len(plain) == 1 < len(members):
        del schema["anyOf"]
        schema.update(plain[0])


def _lift(schema: Part, parameter: Part) -> None:
    """Let a parameter have what is said of its only use."""
    for key in ("description", "examples"):
        if key in schema:
            told = schema.pop(key)
            if key == "description":
                parameter.setdefault("description", told)
            elif "example" not in parameter and "examples" not in parameter:
                parameter["example"] = told[0]


def _lift_from_union(field: Part) -> None:
    """Tell of a field that may be null what is told of its one other form."""
    plain = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
    if len(plain) == 1:
        for key in ("description", "examples"):
            if key in plain[0]:
                told = plain[0].pop(key)
                field.setdefault(key, told)


def _tell_defaults(document: Part) -> None:
    """Tell defaults of bodies in words: of a field with one, generators make a required one.

    Answers have all of their fields, so that no default of theirs ever counts.
    """
    asked = bodies(document)
    for name, schema in document["components"]["schemas"].items():
        for field in schema.get("properties", {}).values():
            if name not in asked:
                field.pop("default", None)
            elif "default" in field:
                default = json.dumps(field.pop("default")).strip('"')
                field["description"] = f"{field.get('description', '')}; default `{default}`"


def property_names(field: Any) -> frozenset[str]:
    """Return the names of all properties that a body may have, at any depth; none of no body."""
    if field is None:
        return frozenset()
    schema = TypeAdapter(field.field_info.annotation).json_schema()
    return frozenset(name for part in walk(schema) for name in part.get("properties", ()))


def bodies(document: Part) -> set[str]:
    """Return the names of the schemas that bodies of requests consist of."""
    schemas = document["components"]["schemas"]
    given = (each["requestBody"] for each in operations(document) if "requestBody" in each)
    found: set[str] = set()
    waiting = set(_named(given))
    while waiting:
        found |= waiting
        waiting = set(_named(schemas[name] for name in waiting)) - found
    return found


def _named(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        for each in walk(part):
            reference = each.get("$ref")
            if isinstance(reference, str) and reference.startswith(_REFERENCE):
                yield reference.removeprefix(_REFERENCE)
