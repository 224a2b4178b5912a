"""A report as CSV: a line of names, and a line a row; totals are not among them."""

import csv
import io
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from app.schemas.common.types import format_amount

_OF_RATE: Final = ("n", "of", "lower", "upper")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER: Final = re.compile(r"[+-]?[0-9]+([.][0-9]+)?")


def write(report: Mapping[str, Any], currency: str) -> str:
    """Return the rows of a report; the last column says in which currency money is."""
    columns = report["columns"]
    names = [name for column in columns for name in _names(column)]
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerow([*names, "currency"])
    for row in report["rows"]:
        cells = [cell for column in columns for cell in _cells(column, row[column["name"]])]
        writer.writerow([*cells, currency])
    return lines.getvalue()


def filename(report: Mapping[str, Any]) -> str:
    return f"{report['name']}-by-{report['by']}-{report['from']}-{report['to']}.csv"


def _names(column: Mapping[str, Any]) -> list[str]:
    name = column["name"]
    more = [f"{name}_{part}" for part in _OF_RATE] if column["type"] == "rate" else []
    return [name, *more]


def _cells(column: Mapping[str, Any], cell: Any) -> list[Any]:
    if column["type"] == "rate":
        return [None] * 5 if cell is None else [cell[part] for part in ("share", *_OF_RATE)]
    if cell is None:
        return [None]
    if column["type"] == "money":
        return [format_amount(Decimal(cell["amount"]))]
    return [_no_formula(cell) if isinstance(cell, str) else cell]


def _no_formula(text: str) -> str:
    """Have spreadsheets show a text rather than reckon it; numbers stay as they are."""
    begins = text.startswith(_FORMULA) and not _NUMBER.fullmatch(text)
    return f"'{text}" if begins else text
