"""Values of a mapping compiled: a row in, the value of a field out."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from app.mappings.bad import Bad
from app.mappings.converting import Convert, converter, finisher
from app.mappings.numbers import number_reader
from app.mappings.sources import Columns, first, hashed, joined, person_name
from app.mappings.targets import Target
from app.mappings.texts import Getter
from app.mappings.times import LocalTimes, compiled
from app.mappings.values import Value

Make = Callable[[Any], Any]
"""Returns the value that a row gives a field, None for none; raises `Bad`."""


class Field(NamedTuple):
    """A field of a fact, compiled."""

    name: str
    make: Make
    column: str
    """What a fault of it is told about."""
    needed: bool
    leave_out: bool
    """Whether a value that cannot be read is left out, instead of rejecting the row."""


class FieldCompiler:
    """Compiles the values of one mapping."""

    def __init__(
        self, columns: Columns, clocks: LocalTimes, decimal: str, currency: str | None
    ) -> None:
        self.columns, self.decimal, self._currency = columns, decimal, currency
        self._clocks = clocks
        self._number = number_reader(decimal)

    def field(
        self, name: str, value: Value, target: Target, pointer: str, *, lenient: bool, grouped: bool
    ) -> Field:
        """Compile a field; with `grouped`, it is made of the rows of an order."""
        make = self.make(value, target, pointer)
        if grouped:
            make = self._across(value, make, target, pointer)
        leave_out = value.if_bad == "leave_out" or (
            value.if_bad is None and (lenient or target.type == "rate")
        )
        return Field(name, make, label(value), target.needed, leave_out and not target.needed)

    def make(self, value: Value, target: Target, pointer: str) -> Make:
        """Compile what a value makes of a row."""
        if value.first_of is not None:
            some = [
                self.make(each, target, f"{pointer}/first_of/{n}")
                for n, each in enumerate(value.first_of)
            ]
            return self._finished(value, _first(some), target, pointer)
        if value.product is not None or value.ratio is not None:
            finish = finisher(target)
            computed = self._computed(value, pointer)
            return lambda fields: None if (found := computed(fields)) is None else finish(found)
        if target.type == "json" and value.column is not None and _is_plain(value):
            native = self.columns.native(value.column, f"{pointer}/column")
            return self._finished(value, native, target, pointer)
        convert = self._converter(value, target, pointer)
        if value.constant is not None:
            constant = self._fixed(value.constant, value, target, f"{pointer}/constant")
            return lambda _: constant
        make = _converted(value, self._getter(value, pointer), convert)
        return self._finished(value, make, target, pointer)

    def _finished(self, value: Value, make: Make, target: Target, pointer: str) -> Make:
        """Let a default stand for a blank, and take a number as it is asked for."""
        if value.absolute:
            make = _absolute(make)
        if value.default is None:
            return make
        default = self._fixed(value.default, value, target, f"{pointer}/default")
        return lambda fields: default if (found := make(fields)) is None else found

    def _fixed(self, constant: Any, value: Value, target: Target, pointer: str) -> Any:
        """Return the same value for every row."""
        if target.type == "json":
            return constant
        try:
            return converter(value, target, self._clocks, self.decimal)(str(constant))
        except Bad as bad:
            self.columns.fault(pointer, bad.code, bad.detail)
            return None

    def _converter(self, value: Value, target: Target, pointer: str) -> Convert:
        for n, pattern in enumerate(value.patterns or ()):
            if compiled(pattern) is None:
                detail = "is no form of times: it needs directives of year, month and day"
                self.columns.fault(f"{pointer}/patterns/{n}", "pattern", detail)
        convert = converter(value, target, self._clocks, self.decimal, self._currency)
        prefix = value.prefix or ""
        if value.inverse:
            convert = _inverse(number_reader(self.decimal), finisher(target))
        if value.translate is not None:
            return _translated(value, convert)
        if not prefix:
            return convert
        read = converter(value, Target("json"), self._clocks, self.decimal)
        finish = finisher(target)
        return lambda text: finish(prefix + str(found)) if (found := read(text)) else None

    def _getter(self, value: Value, pointer: str) -> Getter:
        for name, make in (("columns", first), ("hash_of", hashed), ("join", None)):
            names: Sequence[str] | None = getattr(value, name)
            if names is None:
                continue
            getters = [
                self.columns.getter(each, f"{pointer}/{name}/{n}", value.blanks)
                for n, each in enumerate(names)
            ]
            if make is not None:
                return make(getters)
            is_name = value.read_as == "person_name"
            return person_name(getters) if is_name else joined(getters, value.separator)
        assert value.column is not None
        return self.columns.getter(value.column, f"{pointer}/column", value.blanks)

    def _computed(self, value: Value, pointer: str) -> Callable[[Any], Decimal | None]:
        name = "product" if value.product is not None else "ratio"
        getters = [
            self.columns.getter(each, f"{pointer}/{name}/{n}", value.blanks)
            for n, each in enumerate(value.product or value.ratio or ())
        ]
        read, is_ratio = self._number, value.product is None

        def compute(fields: Any) -> Decimal | None:
            texts = [get(fields) for get in getters]
            if not all(texts):
                return None
            numbers = [read(text) for text in texts]
            found = numbers[0]
            for number in numbers[1:]:
                if is_ratio and not number:
                    return None
                found = found / number if is_ratio else found * number
            return abs(found) if value.absolute else found

        return compute

    def _across(self, value: Value, make: Make, target: Target, pointer: str) -> Make:
        if value.across == "sum":
            if target.type not in ("amount", "number"):
                detail = "only numbers and amounts are added up"
                self.columns.fault(f"{pointer}/across", "across", detail)
            return lambda rows: _total([make(fields) for fields in rows])
        if value.across in ("min", "max"):
            choose = min if value.across == "min" else max
            return lambda rows: choose(_there(make, rows), default=None)
        order = -1 if value.across == "last" else 1
        return lambda rows: next(
            (found for fields in rows[::order] if (found := make(fields)) is not None), None
        )


def _there(make: Make, rows: Sequence[Any]) -> list[Any]:
    return [found for fields in rows if (found := make(fields)) is not None]


def _total(values: list[Any]) -> Any:
    if any(each is None for each in values):
        raise Bad("blank", "a row of the order has none")
    if isinstance(values[0], float):
        return sum(values)
    return sum((Decimal(each) for each in values), Decimal(0))


def label(value: Value) -> str:
    """Return the columns that a value is made of, as faults tell them."""
    if value.first_of is not None:
        return " or ".join(dict.fromkeys(label(each) for each in value.first_of))
    names = value.columns or value.join or value.product or value.ratio or value.hash_of
    return " or ".join(names) if names else value.column or "constant"


def _is_plain(value: Value) -> bool:
    plain = (value.read_as, value.translate, value.prefix, value.strip_prefix)
    return all(each is None for each in plain) and not value.blanks


def _first(some: Sequence[Make]) -> Make:
    def make(fields: Any) -> Any:
        for each in some:
            found = each(fields)
            if found is not None:
                return found
        return None

    return make


def _converted(value: Value, get: Getter, convert: Convert) -> Make:
    cut = value.strip_prefix
    if cut is None:

        def plain(fields: Any) -> Any:
            text = get(fields)
            return convert(text) if text else None

        return plain

    def make(fields: Any) -> Any:
        text = get(fields).removeprefix(cut)
        return convert(text) if text else None

    return make


def _translated(value: Value, convert: Convert) -> Convert:
    known = {text.strip().casefold(): to for text, to in (value.translate or {}).items()}
    others = known.get("*")
    prefix = value.prefix or ""

    def translate(text: str) -> Any:
        found = known.get(text.casefold(), others)
        if found is None:
            if value.otherwise == "reject":
                raise Bad("unknown_value", "it is none of the values that the mapping translates")
            found = text if value.otherwise == "keep" else ""
        return convert(prefix + found) if found else None

    return translate


def _absolute(make: Make) -> Make:
    def absolute(fields: Any) -> Any:
        found = make(fields)
        return abs(found) if isinstance(found, (Decimal, float)) else found

    return absolute


def _inverse(read: Convert, finish: Callable[[Any], Any]) -> Convert:
    def convert(text: str) -> Any:
        number = read(text)
        return finish(1 / number) if number else None

    return convert
