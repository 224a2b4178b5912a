"""Which rows are meant, as functions of their fields."""

from collections.abc import Callable
from typing import Any

from app.mappings.bad import Bad
from app.mappings.numbers import number_reader
from app.mappings.sources import Columns
from app.mappings.texts import Getter
from app.mappings.values import Condition

Test = Callable[[Any], bool]


def compile_condition(condition: Condition, columns: Columns, pointer: str, decimal: str) -> Test:
    """Return what says whether a condition holds of a row."""
    tests: list[Test] = []
    if condition.column is not None:
        get = columns.getter(condition.column, f"{pointer}/column")
        tests += _tests(condition, get, decimal)
    if condition.all is not None:
        tests += [
            compile_condition(each, columns, f"{pointer}/all/{n}", decimal)
            for n, each in enumerate(condition.all)
        ]
    if condition.any is not None:
        some = [
            compile_condition(each, columns, f"{pointer}/any/{n}", decimal)
            for n, each in enumerate(condition.any)
        ]
        tests.append(lambda fields: any(test(fields) for test in some))
    if len(tests) == 1:
        return tests[0]
    return lambda fields: all(test(fields) for test in tests)


def _tests(condition: Condition, get: Getter, decimal: str) -> list[Test]:
    tests: list[Test] = []
    if condition.blank is not None:
        blank = condition.blank
        tests.append(lambda fields: (not get(fields)) is blank)
    if condition.in_ is not None:
        among = _folded(condition.in_)
        tests.append(lambda fields: get(fields).casefold() in among)
    if condition.not_in is not None:
        none = _folded(condition.not_in)
        tests.append(lambda fields: get(fields).casefold() not in none)
    if condition.contains is not None:
        within = tuple(_folded(condition.contains))
        tests.append(lambda fields: _holds(get(fields).casefold(), within))
    if condition.starts_with is not None:
        starts = tuple(_folded(condition.starts_with))
        tests.append(lambda fields: get(fields).casefold().startswith(starts))
    if condition.sign is not None:
        tests.append(_sign_test(condition.sign, get, decimal))
    return tests


def _folded(texts: list[str]) -> frozenset[str]:
    return frozenset(text.strip().casefold() for text in texts)


def _holds(text: str, within: tuple[str, ...]) -> bool:
    return any(each in text for each in within)


def _sign_test(sign: str, get: Getter, decimal: str) -> Test:
    read = number_reader(decimal)
    wanted = {
        "negative": (-1,), "zero": (0,), "positive": (1,),
        "not_positive": (-1, 0), "not_negative": (0, 1),
    }[sign]  # fmt: skip

    def test(fields: Any) -> bool:
        text = get(fields)
        try:
            number = read(text) if text else None
        except Bad:
            return False
        return number is not None and (number > 0) - (number < 0) in wanted

    return test
