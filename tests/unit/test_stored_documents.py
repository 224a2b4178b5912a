"""Documents in columns: what was written is read, and nothing is guessed of another shape."""

import hashlib
import json
from decimal import Decimal
from typing import Any

import pydantic
import pytest

from app.services.common.stored_documents import (
    VERSION,
    NewerVersion,
    StoredDocument,
    UnknownVersion,
    opened,
    stamped,
)
from app.services.models.backtests import BacktestDocument
from app.services.models.model_documents import ModelDocument
from app.services.models.run_monitor import RunMonitor
from app.services.scores.explanations import RunExplanation
from app.services.scores.run_summaries import RunSummary

SUMMARY = RunSummary.model_validate(
    {
        "stages": {"active": {"customers": 2, "revenue": "12.5000", "value_to_save": None}},
        "cells": [{"r": 5, "fm": 1, "customers": 2}],
        "groups": {"recent": {"customers": 2, "revenue": "99999999999999.9999"}},
    }
)


gone: list[type[StoredDocument]] = []
"""Documents of tests."""


def test_a_document_comes_back_as_it_was_written() -> None:
    stored = json.loads(json.dumps(SUMMARY.dump()))
    assert stored[VERSION] == 4
    assert RunSummary.load(stored) == SUMMARY
    assert RunSummary.load(stored).groups["recent"].revenue == Decimal("99999999999999.9999")


@pytest.mark.parametrize("version", [None, 0, 1, "2"])
def test_a_document_of_another_version_is_not_read(version: Any) -> None:
    stored = {**SUMMARY.dump(), VERSION: version}
    with pytest.raises(UnknownVersion, match=rf"RunSummary of version {version!r}.*version 4 can"):
        RunSummary.load(stored)


def test_a_document_of_a_newer_release_is_not_read_and_is_told_apart() -> None:
    with pytest.raises(NewerVersion, match=r"RunSummary of version 5 is stored; version 4 can"):
        RunSummary.load({**SUMMARY.dump(), VERSION: 5})
    with pytest.raises(UnknownVersion) as older:
        RunSummary.load({**SUMMARY.dump(), VERSION: 2})
    assert not isinstance(older.value, NewerVersion)


def test_a_document_without_a_version_is_not_read() -> None:
    with pytest.raises(UnknownVersion, match="None"):
        RunSummary.load(SUMMARY.content())


@pytest.mark.parametrize("more", [{"regions": {}}, {"cells": [{"r": 5, "fm": 1}]}])
def test_a_document_of_another_shape_is_not_read(more: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        RunSummary.load({**SUMMARY.dump(), **more})


def test_what_is_stamped_is_opened_without_its_stamp() -> None:
    assert opened(stamped({"a": 1}), "a note") == {"a": 1}
    with pytest.raises(UnknownVersion, match="a note of version 2"):
        opened(stamped({"a": 1}, version=2), "a note")


def test_a_document_of_an_older_version_is_read_where_that_is_said() -> None:
    class Two(StoredDocument):
        version = 3
        reads = (2,)
        name: str
        colour: str | None = None

    try:
        assert Two.load({VERSION: 2, "name": "a"}) == Two(name="a")
        assert Two.load(Two(name="a", colour="red").dump()).colour == "red"
        with pytest.raises(UnknownVersion, match="version 1 is stored"):
            Two.load({VERSION: 1, "name": "a"})
    finally:
        gone.append(Two)


def shape_of(document: type[StoredDocument]) -> str:
    """Return a digest of the names of all fields, and of which must be there."""
    schema = document.model_json_schema()
    sections = {document.__name__: schema, **schema.get("$defs", {})}
    names = sorted(
        f"{section}.{name}{'!' * (name in part.get('required', ()))}"
        for section, part in sections.items()
        for name in part.get("properties", {})
    )
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]


SHAPES = {
    BacktestDocument: (2, "67b43392cee2"),
    ModelDocument: (7, "105e4c7ba570"),
    RunExplanation: (1, "c61d8896563d"),
    RunMonitor: (1, "f036e0a17c2d"),
    RunSummary: (4, "7659cf3f646c"),
}
"""By document: the version, and its shape."""


@pytest.mark.parametrize("document", SHAPES)
def test_another_shape_has_another_version(document: type[StoredDocument]) -> None:
    """What is stored will be read by the release that follows: count up, and read the old too."""
    assert (document.version, shape_of(document)) == SHAPES[document]


def test_every_stored_document_has_its_shape_here() -> None:
    assert set(StoredDocument.__subclasses__()) - set(gone) == set(SHAPES)
