"""A mapping compiled for the columns of one file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from app.mappings.conditions import Test, compile_condition
from app.mappings.detection import Detected
from app.mappings.document import FactRule, Lines, MappingDocument, Times
from app.mappings.faults import Fault, InvalidMapping
from app.mappings.fields import Field, FieldCompiler, Make, label
from app.mappings.parts import compile_parts
from app.mappings.rows import Problem
from app.mappings.rules import LineRules, MoneyRules, Rule
from app.mappings.sources import Columns
from app.mappings.targets import FIELDS, HAVE_ATTRIBUTES, IDS, LINE_FIELDS, Target
from app.mappings.texts import Getter
from app.mappings.times import LocalTimes, written
from app.mappings.values import Value

_OWNER = "customer_id"


@dataclass(frozen=True)
class Context:
    """What a mapping may need to know of the deployment."""

    currency: str
    """The deployment's: amounts without another one have it."""
    zone: str | None = None
    """The deployment's: what is proposed where a file does not say its own."""
    now: datetime | None = None
    """If given, facts more than a day ahead of it are rejected here, else by the door."""


@dataclass(frozen=True)
class Plan:
    """A mapping compiled; made once, used for all rows, immutable."""

    document: MappingDocument
    detected: Detected
    unused: tuple[str, ...]
    """Columns that no field looks at: kept as attributes where a rule says `rest`, else lost."""
    filters: tuple[tuple[str, Test], ...]
    order_filters: tuple[tuple[str, Test], ...]
    """Those that are asked of the first row of an order."""
    notices: tuple[tuple[Problem, Test], ...]
    group: tuple[Getter, ...]
    """What gets the columns that are the same in the rows of an order; empty: each row alone."""
    within: int | None
    rules: tuple[Rule, ...]
    numbered: Mapping[str, str]
    """By kind, the id of facts of which those with the same texts are numbered."""
    header: tuple[str, ...] | None
    owner: Make | None
    """What gets the customer of a row; None where rows may be of several, or belong together. Of
    other customers rows may then come in any order, and of one in that of the file."""


def parse(document: Mapping[str, Any]) -> MappingDocument:
    """Read a document; raise `InvalidMapping` with all faults, each with a JSON pointer."""
    try:
        return MappingDocument.model_validate(document)
    except ValidationError as error:
        faults = [
            Fault(_pointer(each["loc"]), each["type"], each["msg"])
            for each in error.errors(include_url=False, include_input=False)[:20]
        ]
        raise InvalidMapping(faults) from None


def _pointer(location: tuple[int | str, ...]) -> str:
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in location)
    return "".join(f"/{step}" for step in steps)


def compile_mapping(document: MappingDocument, detected: Detected, context: Context) -> Plan:
    """Compile a mapping for a file.

    Columns match their header exactly, else without regard to capitals and outer blanks. Raises
    `InvalidMapping`: a column that the file has not (with the nearest names), a field that the
    fact has not or that it needs, a zone that is none or that is needed, a pattern that is none.
    """
    is_json = detected.form != "csv"
    columns = Columns(detected.columns, document.blanks, is_json=is_json)
    compiler = _Compiler(document, columns, context)
    plan = compiler.plan(detected)
    if columns.faults:
        raise InvalidMapping(columns.faults)
    return plan


class _Compiler:
    def __init__(self, document: MappingDocument, columns: Columns, context: Context) -> None:
        self.document, self.columns, self.context = document, columns, context
        self.decimal = document.amounts.decimal
        clocks = LocalTimes(self._zoned(document.times))
        # Where rows name their currency, that holds whatever is written beside a number.
        named = any("currency" in rule.fields for rule in document.facts)
        currency = None if named else document.amounts.currency or context.currency
        self.fields = FieldCompiler(columns, clocks, self.decimal, currency)
        self.numbered: dict[str, str] = {}

    def _zoned(self, times: Times) -> Times:
        try:
            return times if times.zone is None else times.model_copy(
                update={"zone": ZoneInfo(times.zone).key}
            )  # fmt: skip
        except (ZoneInfoNotFoundError, ValueError, OSError):
            detail = "is no time zone of the IANA database, such as Europe/Berlin"
            self.columns.fault("/times/zone", "time_zone", detail)
            return times.model_copy(update={"zone": None})

    def plan(self, detected: Detected) -> Plan:
        document, columns = self.document, self.columns
        filters = [
            (each.code, self._test(each.when, f"/filters/{n}/when"), each.orders)
            for n, each in enumerate(document.filters)
        ]
        notices = [
            (
                Problem(each.when.column, each.code, each.text),
                self._test(each.when, f"/notices/{n}"),
            )
            for n, each in enumerate(document.notices)
        ]
        group = [
            columns.getter(name, f"/group/by/{n}")
            for n, name in enumerate(document.group.by if document.group else ())
        ]
        rules = [self._rule(rule, f"/facts/{n}") for n, rule in enumerate(document.facts)]
        unused = tuple(self._unused())
        return Plan(
            document=document,
            detected=detected,
            unused=unused,
            filters=tuple((code, test) for code, test, orders in filters if not orders),
            order_filters=tuple((code, test) for code, test, orders in filters if orders),
            notices=tuple(notices),
            group=tuple(group),
            within=document.group.within if document.group else None,
            rules=tuple(self._with_rest(rules, unused)),
            numbered=self.numbered,
            header=detected.columns if detected.form == "csv" else None,
            owner=self._owner(rules),
        )

    def _owner(self, rules: Sequence[Rule]) -> Make | None:
        said = self.document.facts
        customer = said[0].fields.get(_OWNER)
        together = self.document.group is not None or bool(self.numbered)
        others = any(
            rule.each is not None
            or rule.customer_of_purchase
            or rule.fields.get(_OWNER) != customer
            for rule in said
        )
        # Of files of profiles alone, each row is another customer's anyway.
        if together or others or not any(rule.fact in IDS for rule in said):
            return None
        return next((field.make for field in rules[0].fields if field.name == _OWNER), None)

    def _test(self, condition: Any, pointer: str) -> Test:
        return compile_condition(condition, self.columns, pointer, self.decimal)

    def _unused(self) -> Iterator[str]:
        ignored = {name for each in self.document.ignored for name in self.columns.matching(each)}
        looked_at, names = self.columns.used | ignored, frozenset(self.columns.names)
        for name in self.columns.names:
            below = self.columns.is_json and "." in name and name.split(".", 1)[0] in names
            if not below and name not in looked_at:
                yield name

    def _with_rest(self, rules: Sequence[Rule], unused: Sequence[str]) -> Iterator[Rule]:
        makes = tuple((name, self.columns.native(name, "/ignored")) for name in unused)
        for rule, said in zip(rules, self.document.facts, strict=True):
            yield replace(rule, attributes=(*makes, *rule.attributes)) if said.rest else rule

    def _rule(self, rule: FactRule, pointer: str) -> Rule:
        targets = FIELDS[rule.fact]
        grouped = self.document.group is not None and rule.each is None
        lenient = rule.fact == "customers"
        fields = self._fields(
            rule.fields,
            targets,
            f"{pointer}/fields",
            lenient=lenient,
            grouped=grouped,
            but="customer_id" if rule.customer_of_purchase else "",
        )
        self._check(rule, pointer)
        return Rule(
            kind=rule.fact,
            fields=fields,
            when=None if rule.when is None else self._test(rule.when, f"{pointer}/when"),
            each=None
            if rule.each is None
            else compile_parts(rule.each, self.columns, f"{pointer}/each"),
            source=self.document.source,
            attributes=self._attributes(rule, f"{pointer}/attributes"),
            money=self._money(rule) if rule.fact == "transactions" else None,
            lines=self._lines(rule.lines, f"{pointer}/lines") if rule.lines else None,
            latest=_latest(self.context.now),
            grouped=grouped,
        )

    def _check(self, rule: FactRule, pointer: str) -> None:
        if rule.fact not in HAVE_ATTRIBUTES and (rule.rest or rule.attributes):
            self.columns.fault(pointer, "attributes", f"{rule.fact} have no attributes")
        if rule.fact != "transactions" and (rule.lines or rule.negative == "refund"):
            self.columns.fault(pointer, "transactions", "is of transactions alone")
        if rule.customer_of_purchase and "refunds_transaction_id" not in rule.fields:
            at = f"{pointer}/fields/refunds_transaction_id"
            self.columns.fault(at, "missing", "is needed where the purchase tells the customer")
        identity = rule.fields.get(IDS.get(rule.fact, ""))
        if identity is not None and identity.numbered:
            self.numbered[rule.fact] = IDS[rule.fact]

    def _fields(
        self,
        said: Mapping[str, Value],
        targets: Mapping[str, Target],
        pointer: str,
        *,
        lenient: bool = False,
        grouped: bool = False,
        but: str = "",
    ) -> tuple[Field, ...]:
        for name, target in targets.items():
            if target.needed and name not in said and name != but:
                self.columns.fault(f"{pointer}/{name}", "missing", "is needed")
        for name in said:
            if name not in targets:
                detail = f"is none of {', '.join(targets)}"
                self.columns.fault(f"{pointer}/{name}", "unknown_field", detail)
        for name, value in said.items():
            if name in targets and targets[name].type in ("instant", "day"):
                self._check_zone(value, f"{pointer}/{name}", targets[name])
        return tuple(
            self.fields.field(
                name, said[name], target, f"{pointer}/{name}", lenient=lenient, grouped=grouped
            )
            for name, target in targets.items()
            if name in said
        )

    def _check_zone(self, value: Value, pointer: str, target: Target) -> None:
        """Days of milliseconds need a zone; what times need one, their texts tell."""
        counted = value.read_as in ("seconds", "milliseconds")
        if target.type == "day" and counted and self.document.times.zone is None:
            self.columns.fault("/times/zone", "missing", f"is needed for {pointer}")

    def _attributes(self, rule: FactRule, pointer: str) -> Any:
        return tuple(
            (name, self.fields.make(value, Target("json"), f"{pointer}/{name}"))
            for name, value in (rule.attributes or {}).items()
        )

    def _lines(self, lines: Lines, pointer: str) -> LineRules:
        if not {"unit_price", "total"} & set(lines.fields):
            self.columns.fault(f"{pointer}/fields", "missing", "needs unit_price or total")
        return LineRules(
            compile_parts(lines.each, self.columns, f"{pointer}/each"),
            None if lines.when is None else self._test(lines.when, f"{pointer}/when"),
            self._fields(lines.fields, LINE_FIELDS, f"{pointer}/fields"),
        )

    def _money(self, rule: FactRule) -> MoneyRules:
        amounts, home = self.document.amounts, self.context.currency
        amount = rule.fields.get("amount")
        return MoneyRules(
            currency=amounts.currency,
            home=home,
            rates=amounts.rates_to in (None, home),
            rates_to=self._rates_to(amounts.rates_to_column),
            refund_if_negative=rule.negative == "refund",
            minor=amount is not None and amount.read_as == "minor_units",
            exponents=amounts.exponents,
            round_to=None if amount is None else amount.round_to,
            column="amount" if amount is None else label(amount),
        )

    def _rates_to(self, name: str | None) -> Make | None:
        if name is None:
            return None
        value, at = Value(column=name), "/amounts/rates_to_column"
        return self.fields.make(value, Target("currency"), at)


def _latest(now: datetime | None) -> str | None:
    """Return the last instant that a fact may have, as items have it."""
    if now is None:
        return None
    return written((now.astimezone(UTC) + timedelta(days=1)).replace(tzinfo=None))
