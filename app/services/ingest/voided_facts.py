"""Reading facts that were voided: they are among the revisions, and count for nothing."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Table, and_, column, func, null, select, text

from app.postgres.db import AnySelect

_VOIDING = ("voided_at", "voided_by", "void_reason")
_OF_A_REVISION = ("revision", "received_at")


def in_force(columns: Sequence[Column[Any]]) -> AnySelect:
    """Return the select of facts in force, in the shape of `voided`."""
    return select(*columns, *(null().label(name) for name in _VOIDING))


def voided(table: Table, columns: Sequence[Column[Any]]) -> AnySelect:
    """Return the select of facts that are voided now, as they were when they counted."""
    identity = tuple(each.name for each in table.primary_key)
    revisions = table.metadata.tables[f"{table.name.removesuffix('s')}_revisions"]
    higher = revisions.alias()
    content = (
        func.jsonb_populate_record(text(f"NULL::{table.name}"), revisions.c.content)
        .table_valued(*(column(each.name, each.type) for each in columns))
        .lateral()
    )
    of_the_row = (*identity, *_OF_A_REVISION)
    shown = (
        (revisions if each.name in of_the_row else content).c[each.name].label(each.name)
        for each in columns
    )
    statement: AnySelect = (
        select(*shown, *(revisions.c[name] for name in _VOIDING))
        .select_from(revisions.join(content, text("true")))
        .where(
            revisions.c.voided_at.is_not(None),
            ~_any(select(text("1")).where(_same(table, revisions, identity))),
            ~_any(
                select(text("1")).where(
                    _same(higher, revisions, identity),
                    higher.c.revision > revisions.c.revision,
                    higher.c.voided_at.is_not(None),
                )
            ),
        )
    )
    return statement


def _any(statement: Select[Any]) -> ColumnElement[bool]:
    return statement.exists()


def _same(one: Any, other: Any, identity: Sequence[str]) -> ColumnElement[bool]:
    return and_(*(one.c[name] == other.c[name] for name in identity))


def to_response(row: Any) -> dict[str, Any] | None:
    """Return how a fact was voided, None for one in force."""
    at = getattr(row, "voided_at", None)
    return at and {"voided_at": at, "reason": row.void_reason, "actor": row.voided_by}
