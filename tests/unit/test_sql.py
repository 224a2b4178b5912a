"""What holds of every SQL text: it routes on a database that is sharded by customer."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import TextClause

import app
from app.models import Customer
from app.services.customers import customers
from app.services.ingest.fact_store import Store
from app.services.ingest.facts import Family
from app.services.ingest.named_facts import ByName

OWNED = {
    table.name
    for table in Customer.metadata.tables.values()
    if "customer_id" in table.primary_key.columns
}
_TABLES = "|".join(sorted(OWNED))
READS = re.compile(rf"\b(FROM|JOIN|UPDATE|USING)\s+({_TABLES})\b")
SAYS_WHOSE = re.compile(r"customer_id = (ANY\(|\$\d|:)")
# By the instants and identities that are named, however many facts there are beside them: see
# docs/decisions/0026.
NAMED = re.compile(
    r"= (asked|changed|gone)\.customer_id\b"
    r".*(asked\.(fact_id|since)|changed\.kind|gone\.((transition|refund|transaction)_id))",
    re.DOTALL,
)


def texts() -> Iterator[tuple[str, str]]:
    """Return every SQL text that a module of the application holds, and where."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        for name, value in vars(importlib.import_module(module.name)).items():
            for number, sql in enumerate(said(value)):
                yield f"{module.name}.{name}-{number}", sql


def said(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case TextClause():
            yield value.text
        case ByName():
            yield from (value.of_one, value.of_several)
        case Family():
            yield from said(value.store)
        case Store():
            for each in vars(value).values():
                yield from said(each)
        case dict() | list() | tuple():
            for each in value.values() if isinstance(value, dict) else value:
                yield from said(each)


SQL = dict(texts())


def test_there_is_sql_to_look_at() -> None:
    assert sum("unnest(" in sql for sql in SQL.values()) > 10


@pytest.mark.parametrize("where", [name for name, sql in SQL.items() if "unnest(" in sql])
def test_what_is_joined_with_lists_says_whose_rows_it_is_about(where: str) -> None:
    sql = SQL[where]
    if READS.search(sql):
        assert SAYS_WHOSE.search(sql) or NAMED.search(sql)


def test_customers_are_taken_by_rows_in_their_order() -> None:
    sql = customers._take(3)
    assert "VALUES ($3" in sql
    assert "SELECT" not in sql
    assert sql.index("$3") < sql.index("$4") < sql.index("$5")
    others = [name for name, each in SQL.items() if re.search(r"INSERT INTO customers\b", each)]
    assert others == []
