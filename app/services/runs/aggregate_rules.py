"""An aggregate that has been read: whatever is wrong with it is told before anybody is counted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from app.days import AsOf
from app.lifecycle.expressions import Expression, terms
from app.lifecycle.variables.definition import Term
from app.postgres.db import ReadSession
from app.schemas.queries import AggregateQuery, DimensionIn, MeasureIn
from app.services.common import deployment_settings
from app.services.runs import query_rules
from app.services.runs.query_rules import May, Question, Reader
from app.services.runs.segments import usage

_QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Dimension:
    """What is grouped by: a variable, or whether a rule holds.

    `bands` are where bands of a number begin; `place` is that of the rule among all.
    """

    term: Term | None
    bands: tuple[float, ...] | None
    rule: Expression | None = None
    place: int = 0

    @property
    def terms(self) -> tuple[Term, ...]:
        """What it looks at."""
        found = () if self.rule is None else tuple(terms(self.rule))
        return found if self.term is None else (self.term,)


@dataclass(frozen=True)
class Measure:
    """What is told of each group."""

    kind: str
    term: Term | None
    at: tuple[float, ...]
    when: Expression | None

    @property
    def is_money(self) -> bool:
        return self.term is not None and self.term.variable.unit == "currency"


@dataclass(frozen=True, eq=False)
class Aggregate:
    """An aggregate that has been read."""

    question: Question
    by: tuple[Dimension, ...]
    measures: tuple[Measure, ...]

    @property
    def told(self) -> tuple[Term, ...]:
        """The terms whose values are needed of everybody."""
        found = [each.term for each in self.by if each.term is not None]
        found += [each.term for each in self.measures if each.term is not None]
        return tuple(dict.fromkeys(found))

    @property
    def rules(self) -> tuple[Expression, ...]:
        """The rules of shares, and then those that are grouped by."""
        shares = [each.when for each in self.measures if each.when is not None]
        return (*shares, *(each.rule for each in self.by if each.rule is not None))


async def prepare(
    session: ReadSession,
    asked: AggregateQuery,
    as_of: AsOf,
    may: May,
    run_id: int | None = None,
) -> Aggregate:
    """Read what is asked; whatever is wrong with it is told with pointers."""
    pointers = await deployment_settings.pointers(session)
    read = await query_rules.reader(session, pointers)
    when = read.when(asked.when, "/when")
    by = [_dimension(read, each, f"/by/{place}") for place, each in enumerate(asked.by)]
    measures = [
        _measure(read, each, f"/measures/{place}") for place, each in enumerate(asked.measures)
    ]
    read.check()
    usage.note(read.named)
    deciding = [term for each in by if each is not None for term in each.terms]
    deciding += [each.term for each in measures if each is not None and each.term is not None]
    for each in measures:
        if each is not None and each.when is not None:
            deciding += terms(each.when)
    question = await query_rules.question(
        session, pointers, when, deciding, as_of, may, run_id=run_id
    )
    return Aggregate(question, _placed(by, measures), tuple(filter(None, measures)))


def _placed(
    by: Sequence[Dimension | None], measures: Sequence[Measure | None]
) -> tuple[Dimension, ...]:
    """Return the dimensions, each with the place of its rule."""
    place = sum(each is not None and each.when is not None for each in measures)
    found = []
    for each in filter(None, by):
        found.append(replace(each, place=place))
        place += each.rule is not None
    return tuple(found)


def _dimension(read: Reader, given: DimensionIn, at: str) -> Dimension | None:
    if given.when is not None:
        return Dimension(None, None, read.when(given.when, f"{at}/when"))
    term = read.term(given.of, f"{at}/of")
    if term is None:
        return None
    bands, type_ = given.bands, term.variable.type
    if bands is None and type_ == "number":
        detail = f"is needed: {term.name} is a number, and is grouped in bands"
        read.fault(f"{at}/bands", "missing", detail)
    if bands is not None:
        if type_ not in ("number", "any"):
            read.fault(f"{at}/bands", "type_mismatch", f"are of numbers; {term.name} is none")
        if any(one >= other for one, other in pairwise(bands)):
            read.fault(f"{at}/bands", "not_ascending", "must be ascending, each once")
    return Dimension(term, None if bands is None else tuple(bands))


def _measure(read: Reader, given: MeasureIn, at: str) -> Measure | None:
    term = None
    if given.of is not None:
        term = read.term(given.of, f"{at}/of")
        if term is None:
            return None
        if given.kind != "n" and term.variable.type not in ("number", "any"):
            read.fault(f"{at}/of", "type_mismatch", f"{term.name} is no number")
    when = None
    if given.when is not None:
        when = read.when(given.when, f"{at}/when")
    return Measure(given.kind, term, tuple(given.at or _QUARTILES), when)
