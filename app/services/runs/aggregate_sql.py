"""Groups of customers, added up by the database where all that is looked at is stored."""

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from app.deployment import Deployment
from app.lifecycle.expressions import ALWAYS
from app.money import UNITS, to_amount
from app.postgres.db import ReadSession, fetch_rows
from app.services.runs import aggregate_groups, query_columns, query_sql
from app.services.runs.aggregate_groups import Group, Groups, Key, as_numbers, band_of
from app.services.runs.aggregate_rules import Aggregate, Dimension, Measure
from app.services.runs.query_columns import Found
from app.services.runs.query_tables import Tables, Value

_WORDS = "CASE WHEN jsonb_typeof({0}) IN ('string', 'boolean') THEN ({0})::text END"


async def groups(
    session: ReadSession, deployment: Deployment, query: Aggregate, doubted: Sequence[str]
) -> Groups:
    """Return the groups; of a few, who are `doubted`, what is evaluated counts."""
    tables = query.question.tables(deployment, everybody=True)
    columns = [*_dimensions(query, tables), *_measured(query, tables)]
    conditions = []
    if query.question.when != ALWAYS:
        conditions.append(query_sql.holds(query.question.when, tables))
    if doubted:
        conditions.append(f"c.customer_id <> ALL({tables.bind(list(doubted), 'text[]')})")
    named = [f"{sql} AS {name}" for name, sql, _ in columns]
    source = tables.select([*named, "true AS counted"], conditions)
    if doubted:
        found = await query_columns.of_customers(
            session, deployment, query.question, query.told, doubted, rules=query.rules
        )
        source += f" UNION ALL {_evaluated(query, tables, columns, found)}"
    keys = [f"d{place}" for place in range(len(query.by))]
    told = [_told(place, each, tables) for place, each in enumerate(query.measures)]
    grouped = f" GROUP BY {', '.join(keys)}" if keys else " HAVING count(*) > 0"
    statement = (
        f"SELECT count(*), {', '.join([*keys, *chain.from_iterable(told)]) or 'NULL'}"  # noqa: S608
        f" FROM ({source}) AS counted{grouped} LIMIT {aggregate_groups.MOST_GROUPS + 1}"
    )
    rows = await fetch_rows(session, statement, *tables.arguments)
    aggregate_groups.check(len(rows))
    return _merged(query, rows)


def _dimensions(query: Aggregate, tables: Tables) -> list[tuple[str, str, str]]:
    """Return the name, the SQL and the type of each dimension: all are texts."""
    found = []
    for place, each in enumerate(query.by):
        if each.term is None:
            found.append((f"d{place}", _holds(each, tables), "text"))
            continue
        value = query_sql.value(each.term, tables)
        if each.bands is not None:
            bands = tables.bind(list(each.bands), "float8[]")
            sql = f"nullif(width_bucket({query_sql.as_float(value)}, {bands}), 0)::text"
        else:
            sql = _WORDS.format(value.sql) if value.kind == "json" else _text(value)
        found.append((f"d{place}", sql, "text"))
    return found


def _holds(dimension: Dimension, tables: Tables) -> str:
    assert dimension.rule is not None
    return f"coalesce({query_sql.holds(dimension.rule, tables)}, false)::text"


def _text(value: Value) -> str:
    return "NULL::text" if value.kind == "list" else f"({value.sql})::text"


def _measured(query: Aggregate, tables: Tables) -> list[tuple[str, str, str]]:
    found = []
    for place, each in enumerate(query.measures):
        if each.when is not None:
            holds = f"coalesce({query_sql.holds(each.when, tables)}, false)"
            found.append((f"x{place}", holds, "bool"))
        elif each.term is not None:
            value = query_sql.value(each.term, tables)
            if each.kind == "n":
                found.append((f"x{place}", query_sql.is_known(value), "bool"))
            elif value.kind == "money":
                found.append((f"x{place}", value.known, "numeric"))
            else:
                found.append((f"x{place}", query_sql.as_float(value), "float8"))
    return found


def _told(place: int, measure: Measure, tables: Tables) -> list[str]:
    """Return what is asked of a measure: how many are known, and their sum or quantiles."""
    x = f"x{place}"
    if measure.when is not None or (measure.kind == "n" and measure.term is not None):
        return [f"count(*) FILTER (WHERE {x})", f"count(*) FILTER (WHERE {x})"]
    if measure.term is None:
        return ["count(*)", "count(*)"]
    if measure.kind == "quantiles":
        at = tables.bind(list(measure.at), "float8[]")
        return [f"count({x})", f"percentile_cont({at}) WITHIN GROUP (ORDER BY {x}::float8)"]
    return [f"count({x})", f"sum({x})"]


def _evaluated(
    query: Aggregate, tables: Tables, columns: Sequence[tuple[str, str, str]], found: Found
) -> str:
    """Return the rows of those who were evaluated, as parameters."""
    lists = [_words(each, found) for each in query.by]
    place = 0
    for each in query.measures:
        if each.when is not None:
            lists.append(found.shares[place].tolist())
            place += 1
        elif each.term is not None:
            lists.append(_numbers(each, found))
    arrays = [
        tables.bind(each, f"{type_}[]") for each, (_, _, type_) in zip(lists, columns, strict=True)
    ]
    counted = tables.bind([True] * len(found), "bool[]")
    return f"SELECT * FROM unnest({', '.join([*arrays, counted])})"  # noqa: S608


def _words(dimension: Dimension, found: Found) -> list[str | None]:
    words = aggregate_groups.words_of(dimension, found)
    if dimension.term is None:
        return [json.dumps(each) for each in words]
    column = found.values[dimension.term]
    if dimension.bands is not None:
        numbers = as_numbers(column)
        places = np.where(np.isnan(numbers), 0, np.digitize(numbers, dimension.bands))
        return [str(place) if place else None for place in places.tolist()]
    if dimension.term.variable.type == "any":
        return [None if each is None else json.dumps(each, ensure_ascii=False) for each in words]
    return words


def _numbers(measure: Measure, found: Found) -> list[Any]:
    assert measure.term is not None
    column = found.values[measure.term]
    if measure.kind == "n":
        known: list[bool] = aggregate_groups.is_known(column).tolist()
        return known
    numbers = [None if each != each else each for each in as_numbers(column).tolist()]  # noqa: PLR0124
    if not measure.is_money:
        return numbers
    return [None if each is None else to_amount(round(each * UNITS)) for each in numbers]


def _merged(query: Aggregate, rows: Sequence[Any]) -> Groups:
    found: dict[Key, Group] = {}
    for customers, *told in rows:
        keys, measured = told[: len(query.by)], told[len(query.by) :]
        key = tuple(_key(each, text) for each, text in zip(query.by, keys, strict=True))
        known, values = measured[::2], measured[1::2]
        found[key] = Group(
            customers,
            [number if each.when is None else customers
             for each, number in zip(query.measures, known, strict=False)],
            [_sum(each, value) for each, value in zip(query.measures, values, strict=False)],
            [None] * len(query.measures),
            [value if each.kind == "quantiles" else None
             for each, value in zip(query.measures, values, strict=False)],
        )  # fmt: skip
    return found


def _key(dimension: Dimension, text: str | None) -> Any:
    if text is None:
        return None
    if dimension.bands is not None:
        return band_of(dimension, int(text))
    is_json = dimension.term is None or dimension.term.variable.type == "any"
    return json.loads(text) if is_json else text


def _sum(measure: Measure, value: Any) -> float:
    if value is None or measure.kind == "quantiles":
        return 0
    return int(value * UNITS) if measure.is_money and measure.kind != "n" else value
