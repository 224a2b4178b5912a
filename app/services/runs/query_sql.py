"""How a rule becomes SQL over what is stored: the one translator, see docs/decisions/0052.

There is one entry for each operator of the language here, and one for each variable in
`query_values`. A value that is not known is null, and under `not` null is made false, so that a
comparison says of everybody what the evaluator says.
"""

import operator
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any, Final

from app.lifecycle.expressions import AllOf, AnyOf, Compare, Expression
from app.lifecycle.variables.definition import Term
from app.money import UNITS, to_amount
from app.services.runs.query_tables import Tables, Value
from app.services.runs.query_values import VALUES, is_stored

_LARGEST = "1.7976931348623157e308::numeric"
MOST = 922_337_203_685_477
"""More money than that is taken for that much, as the evaluator does."""
_PLAIN = "'string', 'number', 'boolean'"
_COMPARED: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
    "!=": operator.ne,
}  # fmt: skip


class Untranslatable(Exception):
    """A rule that looks at something of which nothing is stored."""


def holds(rule: Expression, tables: Tables) -> str:
    """Return the condition that a rule is; where null stands for false, too."""
    if isinstance(rule, Compare):
        return _compare(rule, tables)
    if isinstance(rule, (AllOf, AnyOf)):
        word, none = (" AND ", "true") if isinstance(rule, AllOf) else (" OR ", "false")
        return f"({word.join(holds(part, tables) for part in rule.parts) or none})"
    return f"(NOT coalesce({holds(rule.part, tables)}, false))"


def value(term: Term, tables: Tables) -> Value:
    """Return what a term is, as SQL."""
    if not is_stored(term):
        raise Untranslatable(term.key)
    return VALUES[term.name](term, tables)


def _compare(rule: Compare, tables: Tables) -> str:
    some = _asks_for_any(rule)
    if some is not None:
        asked = tables.any_interaction if some else tables.no_interaction
        return f"({asked(rule.term.kinds, rule.term.days)})"
    other = value(rule.value, tables) if isinstance(rule.value, Term) else rule.value
    return f"({OPERATORS[rule.op](rule.op, value(rule.term, tables), other, tables)})"


def _asks_for_any(rule: Compare) -> bool | None:
    """Say whether interactions are asked for that there be any, or none; None if how many."""
    if rule.term.name != "interactions" or not isinstance(rule.value, float):
        return None
    none, *some = (_COMPARED[rule.op](number, rule.value) for number in (0.0, 1.0, 2.0, 1e18))
    return some[0] if len(set(some)) == 1 and none != some[0] else None


def _ordered(op: str, one: Value, other: Any, tables: Tables) -> str:
    sign = {"==": "=", "!=": "<>"}.get(op, op)
    if isinstance(other, Value):
        return f"{as_float(one)} {sign} {as_float(other)}"
    number = one.sql
    if one.kind == "list":
        return "false"
    if one.absent_is_zero and _COMPARED[op](0.0, other):
        number = one.known
    if one.kind == "json":
        number = as_float(one)
    elif one.kind == "money":
        return _amount(op, number, other, tables)
    elif one.kind == "whole" and other == int(other):
        return f"{number} {sign} {tables.bind(int(other), 'int8')}"
    return f"{number} {sign} {tables.bind(float(other), 'float8')}"


def _amount(op: str, column: str, other: float, tables: Tables) -> str:
    """Compare exact amounts, as floats of them would be compared."""

    def bound(reaches: Callable[[float, float], bool]) -> str:
        return tables.bind(to_amount(_units(reaches, other)), "numeric")

    if op in ("<", ">="):
        return f"{column} {op} {bound(operator.ge)}"
    if op in ("<=", ">"):
        return f"{column} {'<' if op == '<=' else '>='} {bound(operator.gt)}"
    first, beyond = bound(operator.ge), bound(operator.gt)
    if op == "==":
        return f"{column} >= {first} AND {column} < {beyond}"
    return f"{column} < {first} OR {column} >= {beyond}"


def _units(reaches: Callable[[float, float], bool], other: float) -> int:
    """Return the least count of units that, as the evaluator divides it, reaches a number."""
    middle, width = int(other * UNITS), int(abs(other) * UNITS * 1e-15) + 2
    around = range(middle - width, middle + width)
    return around[bisect_left(around, True, key=lambda units: reaches(float(units) / UNITS, other))]


def _equal(op: str, one: Value, other: Any, tables: Tables) -> str:
    if isinstance(other, float | Value) and not isinstance(other, bool):
        return _ordered(op, one, other, tables)
    if one.kind == "list":
        return "false"
    if one.kind == "json":
        given = tables.bind(other, "text" if isinstance(other, str) else "bool")
        if op == "==":
            return f"{one.sql} = to_jsonb({given})"
        return f"jsonb_typeof({one.sql}) IN ({_PLAIN}) AND {one.sql} <> to_jsonb({given})"
    return f"{one.sql} {'=' if op == '==' else '<>'} {tables.bind(other, 'text')}"


def _among(_: str, one: Value, other: Any, tables: Tables) -> str:
    if one.kind == "list":
        return "false"
    texts = tables.bind(list(other), "text[]")
    if one.kind == "json":
        return f"jsonb_typeof({one.sql}) = 'string' AND {one.sql} #>> '{{}}' = ANY({texts})"
    return f"{one.sql} = ANY({texts})"


def _contains(_: str, one: Value, other: Any, tables: Tables) -> str:
    text = tables.bind(other, "text")
    if one.kind == "json":
        return f"jsonb_typeof({one.sql}) = 'array' AND {one.sql} ? {text}"
    return f"{text} = ANY({one.sql})"


def _known(_: str, one: Value, other: Any, tables: Tables) -> str:
    del tables
    return is_known(one) if other else f"NOT ({is_known(one)})"


def is_known(one: Value) -> str:
    """Return the condition that a value is known."""
    if one.kind == "json":
        return f"coalesce(jsonb_typeof({one.sql}) IN ({_PLAIN}, 'array'), false)"
    return f"{one.known} IS NOT NULL"


OPERATORS: Final[Mapping[str, Callable[[str, Value, Any, Tables], str]]] = {
    "<": _ordered,
    "<=": _ordered,
    ">": _ordered,
    ">=": _ordered,
    "==": _equal,
    "!=": _equal,
    "in": _among,
    "contains": _contains,
    "known": _known,
}


def as_float(one: Value) -> str:
    """Return a number as the evaluator has it."""
    if one.kind == "json":
        number = f"least(greatest(({one.sql})::numeric, -{_LARGEST}), {_LARGEST})::float8"
        return f"CASE WHEN jsonb_typeof({one.sql}) = 'number' THEN {number} END"
    if one.kind == "money":
        amount = f"greatest(least({one.known}, {MOST}), -{MOST})"
        return f"(({amount} * {UNITS})::int8::float8 / {UNITS})"
    return f"({one.known})::float8" if one.kind == "whole" else one.sql
