"""Documents in columns: what was written is read, and nothing is guessed of another shape."""

import json
from decimal import Decimal
from typing import Any

import pydantic
import pytest

from app.services.common.stored_documents import VERSION, UnknownVersion, opened, stamped
from app.services.scores.run_summaries import RunSummary

SUMMARY = RunSummary.model_validate(
    {
        "stages": {"active": {"customers": 2, "revenue": "12.5000", "value_at_risk": None}},
        "cells": [{"r": 5, "f": 1, "customers": 2}],
        "groups": {"new": {"customers": 2, "revenue": "99999999999999.9999"}},
    }
)


def test_a_document_comes_back_as_it_was_written() -> None:
    stored = json.loads(json.dumps(SUMMARY.dump()))
    assert stored[VERSION] == 1
    assert RunSummary.load(stored) == SUMMARY
    assert RunSummary.load(stored).groups["new"].revenue == Decimal("99999999999999.9999")


@pytest.mark.parametrize("version", [None, 0, 2, "1"])
def test_a_document_of_another_version_is_not_read(version: Any) -> None:
    stored = {**SUMMARY.dump(), VERSION: version}
    with pytest.raises(UnknownVersion, match=rf"RunSummary of version {version!r}.*version 1 can"):
        RunSummary.load(stored)


def test_a_document_without_a_version_is_not_read() -> None:
    with pytest.raises(UnknownVersion, match="None"):
        RunSummary.load(SUMMARY.content())


@pytest.mark.parametrize("more", [{"regions": {}}, {"cells": [{"r": 5, "f": 1}]}])
def test_a_document_of_another_shape_is_not_read(more: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        RunSummary.load({**SUMMARY.dump(), **more})


def test_what_is_stamped_is_opened_without_its_stamp() -> None:
    assert opened(stamped({"a": 1}), "a note") == {"a": 1}
    with pytest.raises(UnknownVersion, match="a note of version 2"):
        opened(stamped({"a": 1}, version=2), "a note")
