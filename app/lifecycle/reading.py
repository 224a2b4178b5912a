"""Reading the expressions of a policy document: every fault is told with a pointer to its node."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from app.lifecycle import ranges
from app.lifecycle.expressions import (
    ALWAYS,
    OPERATORS,
    ORDERED,
    AllOf,
    AnyOf,
    Compare,
    Constant,
    Expression,
    Not,
)
from app.lifecycle.kinds import Kinds, surveys
from app.lifecycle.reading_faults import escaped, expected, no_segment, type_of, unknown
from app.lifecycle.variables.definition import Term, Turning, Variable
from app.lifecycle.variables.parameters import PARAMETERS, text_fault
from app.lifecycle.variables.registry import VARIABLES

MAX_NODES = 500
MAX_DEPTH = 20
_NEEDED: Final = {
    "op": f"is needed: one of {', '.join(OPERATORS)}",
    "value": "is needed: a constant (of known true or false), or an object with a variable",
}


class Fault(NamedTuple):
    """One fault of a document: where (a JSON pointer), and what."""

    pointer: str
    code: str
    detail: str


class _Stop(Exception):
    """A fault within an expression; what is around it cannot be read on."""


class ExpressionReader:
    """Reads the expressions of one document, and keeps their faults."""

    allows: Callable[[Variable], bool]
    """Which variables the rules of the document may look at."""
    not_allowed: str
    """What is said of others."""

    def __init__(self, kinds: Kinds | None) -> None:
        self.kinds = kinds
        """What was declared of kinds when the document was written; None: nothing yet."""
        self.faults: list[Fault] = []
        self.is_read = True
        self.segments: Mapping[str, Any] | None = None
        """The rules that may be named by the codes of segments; None: none may be."""
        self.within: list[str] = []
        """The segments whose rules are being read, the outermost first."""
        self.named: set[str] = set()
        """The segments whose rules have been read."""
        self._nodes = 0
        self._named_at: str | None = None

    def fault(self, pointer: str, code: str, detail: str) -> None:
        # Of a rule that is named, the name is all that the document has.
        self.faults.append(Fault(self._named_at or pointer, code, detail))

    def when(self, given: Any, at: str) -> Expression:
        """Return an expression; one that always holds if none is given, or a faulty one."""
        if given is None:
            return ALWAYS
        before = list(self.within)
        try:
            return self._expression(given, at, 1)
        except _Stop:
            self.within, self._named_at = before, None
            return ALWAYS

    def term(self, given: Any, at: str) -> Term | None:
        """Return a variable with its parameters, or None if that is faulty.

        It is named alone, or in an object as a comparison has it.
        """
        named = {"variable": given} if isinstance(given, str) else given
        try:
            if not isinstance(named, dict) or "variable" not in named:
                detail = "must be the name of a variable, or an object with variable and parameters"
                raise self._stop(at, "expression", detail)
            for key in named:
                if key not in ("variable", *PARAMETERS):
                    raise self._stop(
                        f"{at}/{escaped(key)}", "extra_forbidden", "is not a field here"
                    )
            return self._term(named, at)
        except _Stop:
            if isinstance(given, str):  # there is nothing within it to point at
                self.faults[-1] = self.faults[-1]._replace(pointer=at)
            return None

    def _stop(self, pointer: str, code: str, detail: str) -> _Stop:
        self.fault(pointer, code, detail)
        self.is_read = False
        return _Stop()

    def _expression(self, given: Any, at: str, depth: int) -> Expression:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._stop(at, "too_many_nodes", f"a policy has at most {MAX_NODES} nodes")
        if depth > MAX_DEPTH:
            raise self._stop(at, "too_deep", f"expressions are at most {MAX_DEPTH} levels deep")
        if not isinstance(given, dict):
            raise self._stop(at, "expression", "must be an object: all, any, not, or a comparison")
        if "variable" in given:
            return self._compare(given, at)
        if "segment" in given:
            return self._segment(given, at, depth)
        if len(given) != 1 or next(iter(given)) not in ("all", "any", "not"):
            detail = "must have one of all, any, not, or else variable, op and value"
            raise self._stop(at, "expression", detail)
        ((word, below),) = given.items()
        if word == "not":
            return Not(self._expression(below, f"{at}/not", depth + 1))
        if not isinstance(below, list) or not below:
            raise self._stop(f"{at}/{word}", "expression", "must be a list with an item or more")
        parts = tuple(
            self._expression(each, f"{at}/{word}/{n}", depth + 1) for n, each in enumerate(below)
        )
        return AllOf(parts) if word == "all" else AnyOf(parts)

    def _segment(self, given: Mapping[str, Any], at: str, depth: int) -> Expression:
        """Read the rule of a segment that is named, in the place of its name."""
        code, place = given["segment"], f"{at}/segment"
        if self.segments is None or len(given) != 1:
            detail = "stands alone, in rules of other things than stages"
            raise self._stop(place, "not_allowed", detail)
        if not isinstance(code, str) or code not in {*self.segments, *self.within}:
            raise self._stop(place, "unknown_segment", no_segment(code, self.segments))
        if code in self.within:
            raise self._stop(place, "within_itself", f"{code!r} would be a segment inside itself")
        outermost = self._named_at is None
        if outermost:
            self._named_at = place
        self.within.append(code)
        self.named.add(code)
        found = self._expression(self.segments[code], at, depth + 1)
        self.within.pop()
        if outermost:
            self._named_at = None
        return found

    def _compare(self, given: Mapping[str, Any], at: str) -> Compare:
        for key in given:
            if key not in ("variable", "op", "value", *PARAMETERS):
                raise self._stop(f"{at}/{escaped(key)}", "extra_forbidden", "is not a field here")
        for key in ("op", "value"):
            if key not in given:
                raise self._stop(f"{at}/{key}", "missing", _NEEDED[key])
        term = self._term({key: given[key] for key in given if key not in ("op", "value")}, at)
        op, value = given["op"], given["value"]
        if op not in OPERATORS:
            detail = f"must be one of {', '.join(OPERATORS)}"
            raise self._stop(f"{at}/op", "unknown_operator", detail)
        if isinstance(value, dict):
            return Compare(term, op, self._other(term, op, value, at))
        return Compare(term, op, self._constant(term.variable, op, value, at))

    def _term(self, given: Mapping[str, Any], at: str) -> Term:
        name = given["variable"]
        variable = VARIABLES.get(name) if isinstance(name, str) else None
        if variable is None:
            raise self._stop(f"{at}/variable", "unknown_variable", unknown(name))
        if not self.allows(variable):
            raise self._stop(f"{at}/variable", "not_allowed", f"{name} {self.not_allowed}")
        for key, parameter in PARAMETERS.items():
            if key in given and key not in variable.accepts:
                takes = ", ".join(variable.accepts) or "no parameters"
                detail = f"is not a field of {name}, which takes {takes}"
                raise self._stop(f"{at}/{key}", "extra_forbidden", detail)
            if key not in given and key in variable.accepts and parameter.required is not None:
                raise self._stop(f"{at}/{key}", "missing", parameter.required)
            faulty = parameter.fault(given[key]) if key in given else None
            if faulty is not None:
                raise self._stop(f"{at}/{key}", *faulty)
        term = Term.of(variable, {key: given[key] for key in PARAMETERS if key in given})
        if variable.of_surveys and "kind" in given and self.kinds is not None:
            self._require_scale(given["kind"], at)
        return term.under(self.kinds)

    def _require_scale(self, kind: str, at: str) -> None:
        assert self.kinds is not None
        known = surveys(self.kinds)
        if kind not in known:
            said = f"no scale is declared of {kind!r}; those with one: {', '.join(sorted(known))}"
            raise self._stop(f"{at}/kind", "no_scale", said)

    def _other(self, term: Term, op: str, value: Mapping[str, Any], at: str) -> Term:
        """Read the variable that another one is compared with."""
        place = f"{at}/value"
        for key in value:
            if key not in ("variable", *PARAMETERS):
                detail = "is not a field here; a variable is compared with another as it is"
                raise self._stop(f"{place}/{escaped(key)}", "extra_forbidden", detail)
        if "variable" not in value:
            raise self._stop(f"{place}/variable", "missing", "is needed")
        other = self._term(value, place)
        if term.variable.type != "number" or other.variable.type != "number" or op not in ORDERED:
            detail = f"only numbers are compared with each other, by {', '.join(ORDERED)}"
            raise self._stop(place, "type_mismatch", detail)
        both_age = term.turning is other.turning is Turning.AGES
        if other.turning is not Turning.STILL and not both_age:
            detail = (
                f"{other.name} changes with time alone, and not as {term.name} does: compare with"
                " a constant, or with a variable of which changes_with_time is false"
            )
            raise self._stop(place, "moving_variable", detail)
        return other

    def _constant(self, variable: Variable, op: str, value: Any, at: str) -> Constant:
        place = f"{at}/value"
        if op == "known":
            if not isinstance(value, bool):
                raise self._stop(place, "type_mismatch", "must be true or false")
            return value
        if op == "in":
            return self._listed(variable, value, at)
        if op == "contains":
            return self._contained(variable, value, at)
        found = type_of(value)
        asked = "text" if variable.type == "level" else variable.type
        if found is None or asked not in ("any", found):
            raise self._stop(place, "type_mismatch", expected(variable, value))
        if variable.type != "level" and op in ORDERED and found != "number":
            detail = f"{op} compares numbers; {variable.name} is compared by ==, != or in"
            raise self._stop(f"{at}/op", "type_mismatch", detail)
        constant: Constant = float(value) if found == "number" else value
        self._check_constant(variable, op, constant, place)
        return constant

    def _check_constant(self, variable: Variable, op: str, value: Constant, at: str) -> None:
        if isinstance(value, str):
            self._check_text(value, at)
        faulty = ranges.fault(variable, op, value)
        if faulty is not None:
            self.fault(at, *faulty)

    def _check_text(self, value: str, at: str) -> None:
        faulty = text_fault(value)
        if faulty is not None:
            self.fault(at, *faulty)

    def _contained(self, variable: Variable, value: Any, at: str) -> str:
        if variable.type != "any":
            detail = f"contains looks into lists, such as an attribute; {variable.name} is none"
            raise self._stop(f"{at}/op", "type_mismatch", detail)
        if not isinstance(value, str):
            raise self._stop(f"{at}/value", "type_mismatch", "must be a text")
        self._check_text(value, f"{at}/value")
        return value

    def _listed(self, variable: Variable, value: Any, at: str) -> tuple[str, ...]:
        place = f"{at}/value"
        if variable.type in ("number", "boolean"):
            detail = "in compares texts; ask for one of several others by any, with a == each"
            raise self._stop(f"{at}/op", "type_mismatch", detail)
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_NODES:
            detail = f"must be a list of 1 to {MAX_NODES} texts"
            raise self._stop(place, "type_mismatch", detail)
        for n, each in enumerate(value):
            if not isinstance(each, str):
                raise self._stop(f"{place}/{n}", "type_mismatch", "must be a text")
            self._check_constant(variable, "in", each, f"{place}/{n}")
        return tuple(value)
