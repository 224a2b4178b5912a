"""The expressions of rules: a typed tree of comparisons, judged on columns of values.

`{"all": [...]}`, `{"any": [...]}`, `{"not": {...}}`, and comparisons
`{"variable": name, "op": operator, "value": constant or {"variable": name}}`. A comparison with an
unknown value is false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from app.lifecycle.dated import Bools, Column
from app.lifecycle.variables.definition import Term, Turning
from app.lifecycle.variables.parameters import counted

Values = Mapping[Term, Column]
Constant = float | str | bool | tuple[str, ...]

ORDERED: Final[dict[str, Callable[[Column, Column], Bools]]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
OPERATORS: Final = (*ORDERED, "==", "!=", "in", "contains", "known")


@dataclass(frozen=True, slots=True)
class Compare:
    term: Term
    op: str
    value: Constant | Term

    def holds(self, values: Values, n: int) -> Bools:
        column = values[self.term]
        if self.op == "known":
            return _known(column) if self.value else ~_known(column)
        if self.op == "contains":
            return _map(lambda each: isinstance(each, tuple) and self.value in each, column, n)
        if isinstance(self.value, Term):
            return _compare(self.op, column, values[self.value])
        if isinstance(self.value, (str, tuple)):
            return self._holds_text(column, n)
        if isinstance(self.value, bool):
            same = _map(lambda each: each is self.value, column, n)
            return same if self.op == "==" else _is_plain(column, n) & ~same
        return _compare(self.op, _numbers(column), np.float64(self.value))

    def _holds_text(self, column: Column, n: int) -> Bools:
        levels = self.term.variable.levels
        if levels is not None:
            if isinstance(self.value, tuple):
                return np.isin(column, [levels.index(each) for each in self.value])
            return _compare(self.op, column, np.float64(levels.index(str(self.value))))
        if isinstance(self.value, tuple):
            texts = frozenset(self.value)
            return _map(lambda each: isinstance(each, str) and each in texts, column, n)
        same = _map(lambda each: each == self.value, column, n)
        return same if self.op == "==" else _is_plain(column, n) & ~same

    @property
    def parts(self) -> tuple[Expression, ...]:
        return ()

    @property
    def changes_with_time(self) -> bool:
        """Whether time alone may turn it; what ages keeps its distance to what ages, too."""
        if self.term.turning is Turning.STILL or self.op == "known":
            return False
        return not isinstance(self.value, Term) or self.value.turning is Turning.STILL

    def thresholds(self) -> Iterator[tuple[str, float | Term]]:
        """Yield ordered comparisons of which each turns at most once as time passes.

        When none of them turns, neither does this one.
        """
        if isinstance(self.value, Term):
            yield self.op, self.value
            return
        given = self.value if isinstance(self.value, tuple) else (self.value,)
        levels = self.term.variable.levels or ()
        for each in given:
            number = float(levels.index(each) if isinstance(each, str) else each)
            if self.op in ORDERED:
                yield self.op, number
            else:
                yield ">", number
                yield ">=", number


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Expression, ...]

    def holds(self, values: Values, n: int) -> Bools:
        found = np.ones(n, dtype=bool)
        for part in self.parts:
            found &= part.holds(values, n)
        return found


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Expression, ...]

    def holds(self, values: Values, n: int) -> Bools:
        found = np.zeros(n, dtype=bool)
        for part in self.parts:
            found |= part.holds(values, n)
        return found


@dataclass(frozen=True, slots=True)
class Not:
    part: Expression

    def holds(self, values: Values, n: int) -> Bools:
        return ~self.part.holds(values, n)

    @property
    def parts(self) -> tuple[Expression, ...]:
        return (self.part,)


Expression = Compare | AllOf | AnyOf | Not
ALWAYS: Final = AllOf(())


def compare(op: str, column: Column, other: Column | float) -> Bools:
    """Compare numbers; what is unknown fulfils nothing."""
    return _compare(op, column, np.float64(other) if isinstance(other, float) else other)


def _compare(op: str, column: Column, other: Any) -> Bools:
    if op == "!=":
        return np.asarray((column != other) & _known(column) & ~np.isnan(other), dtype=bool)
    found = column == other if op == "==" else ORDERED[op](column, other)
    return np.asarray(found, dtype=bool)


def _known(column: Column) -> Bools:
    if column.dtype == object:
        unknown: Any = None
        return np.asarray(column != unknown, dtype=bool)
    return np.asarray(~np.isnan(column), dtype=bool)


def _map(holds: Callable[[Any], bool], column: Column, n: int) -> Bools:
    """Say where a known value fulfils what no unknown one does: most know nothing of a variable."""
    found, known = np.zeros(n, dtype=bool), np.flatnonzero(_known(column))
    found[known] = np.fromiter((holds(value) for value in column[known]), bool, len(known))
    return found


def _is_plain(column: Column, n: int) -> Bools:
    """Say where a known value is no list: a list is only asked for what it contains."""
    return _map(lambda each: not isinstance(each, tuple), column, n)


def _numbers(column: Column) -> Column:
    """Return the numbers among free values; whatever else somebody stored is unknown."""
    if column.dtype != object:
        return column
    return np.array(
        [
            float(value)
            if isinstance(value, (int, float)) and not isinstance(value, bool)
            else np.nan
            for value in column
        ],
        dtype=np.float64,
    )


def comparisons(expression: Expression) -> Iterator[Compare]:
    """Yield every comparison of a tree, from left to right."""
    if isinstance(expression, Compare):
        yield expression
    for part in expression.parts:
        yield from comparisons(part)


def terms(expression: Expression) -> Iterator[Term]:
    """Yield every term of a tree; one may come more than once."""
    for comparison in comparisons(expression):
        yield comparison.term
        if isinstance(comparison.value, Term):
            yield comparison.value


_SAID: Final = {
    "en": {
        "<": "is below", "<=": "is at most", ">": "is above", ">=": "is at least",
        "==": "is", "!=": "is not", "in": "is one of", "contains": "contains", "known": "is known",
        "unknown": "is not known", "all": " and ", "any": " or ", "not": "not",
        "always": "always", "never": "never",
    },
    "zh": {
        "<": "小于", "<=": "不超过", ">": "大于", ">=": "至少为",
        "==": "为", "!=": "不为", "in": "属于", "contains": "包含", "known": "已知",
        "unknown": "未知", "all": "且", "any": "或", "not": "并非",
        "always": "其余情况", "never": "从不",
    },
}  # fmt: skip


def words(expression: Expression, language: str) -> str:
    """Say an expression in English (`en`) or Chinese (`zh`)."""
    said = _SAID[language]
    if isinstance(expression, Compare):
        return _compared(expression, language)
    if isinstance(expression, Not):
        return said["not"] + _enclosed(expression.part, language)
    joined = "all" if isinstance(expression, AllOf) else "any"
    if not expression.parts:
        return said["always" if joined == "all" else "never"]
    parts = [
        _enclosed(part, language).lstrip()
        if isinstance(part, (AllOf, AnyOf))
        else words(part, language)
        for part in expression.parts
    ]
    return said[joined].join(parts)


def _enclosed(expression: Expression, language: str) -> str:
    inner = words(expression, language)
    return f" ({inner})" if language == "en" else f"（{inner}）"


def _compared(expression: Compare, language: str) -> str:
    said, value, term = _SAID[language], expression.value, expression.term
    subject = term.words()[language]
    space = " " if language == "en" else ""
    if expression.op == "known":
        return f"{subject}{space}{said['known' if value else 'unknown']}"
    if isinstance(value, Term):
        shown = value.words()[language]
    elif isinstance(value, tuple):
        shown = (", " if language == "en" else "、").join(value)
    elif isinstance(value, bool):
        shown = str(value).lower()
    else:
        shown = counted(value, term.variable.unit, language) if isinstance(value, float) else value
    return f"{subject}{space}{said[expression.op]}{space}{shown}"
