"""Reading a policy document: what is wrong with it is told with a pointer to each fault."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from app.lifecycle.expressions import (
    ALWAYS,
    OPERATORS,
    ORDERED,
    All,
    Compare,
    Constant,
    Expression,
    Not,
    terms,
)
from app.lifecycle.expressions import Any as AnyOf
from app.lifecycle.policy import Option, Policy, Role, Rule, SilenceLimit, Stage
from app.lifecycle.reachability import deciding
from app.lifecycle.variables import CATALOGUE, LEVELS, Term, Variable

MAX_NODES = 500
MAX_DEPTH = 20
MAX_WINDOW_DAYS = 3_650
_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Fault(NamedTuple):
    """One fault of a document: where (a JSON pointer), and what."""

    pointer: str
    code: str
    detail: str


class InvalidPolicy(ValueError):
    """A document that is no policy."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults))
        self.faults = tuple(faults)


class _Stop(Exception):
    """A fault within an expression; what is around it cannot be read on."""


def parse(version: int, document: Mapping[str, Any]) -> Policy:
    """Read a document of the shape that the API accepts; raise InvalidPolicy with all faults."""
    reader = _Reader()
    stages = reader.stages(document["stages"])
    known = {stage.code for stage in stages}
    rules = reader.rules(document["rules"], known)
    moves = reader.moves(document.get("moves"), [stage.code for stage in stages])
    policy = Policy(
        version=version,
        described=stages,
        silence=SilenceLimit(**document["silence_limit"]),
        rules=rules,
        moves=moves,
        model_id=document.get("model_id"),
    )
    if not reader.faults:
        reader.check_whole(policy)
    if reader.faults:
        raise InvalidPolicy(reader.faults)
    return policy


class _Reader:
    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._nodes = 0

    def fault(self, pointer: str, code: str, detail: str) -> None:
        self.faults.append(Fault(pointer, code, detail))

    def stages(self, given: Sequence[Mapping[str, Any]]) -> tuple[Stage, ...]:
        self._unique(given, "/stages")
        return tuple(self._stage(each, f"/stages/{n}") for n, each in enumerate(given))

    def _stage(self, given: Mapping[str, Any], at: str) -> Stage:
        return Stage(
            code=given["code"],
            name=given["name"],
            role=given.get("role") or _role(given["code"]),
            actions=self._options(given.get("actions") or (), f"{at}/actions"),
            sub_stages=self._options(given.get("sub_stages") or (), f"{at}/sub_stages"),
        )

    def _options(self, given: Sequence[Mapping[str, Any]], at: str) -> tuple[Option, ...]:
        self._unique(given, at)
        return tuple(
            Option(each["code"], each["name"], self._when(each.get("when"), f"{at}/{n}/when"))
            for n, each in enumerate(given)
        )

    def _unique(self, given: Sequence[Mapping[str, Any]], at: str) -> None:
        seen: set[str] = set()
        for n, each in enumerate(given):
            if each["code"] in seen:
                self.fault(f"{at}/{n}/code", "duplicate_code", f"{each['code']!r} comes twice")
            seen.add(each["code"])

    def rules(self, given: Sequence[Mapping[str, Any]], known: set[str]) -> tuple[Rule, ...]:
        self._unique(given, "/rules")
        last = len(given) - 1
        for n, each in enumerate(given):
            at = f"/rules/{n}"
            if each["stage"] not in known:
                self.fault(f"{at}/stage", "unknown_stage", f"there is no stage {each['stage']!r}")
            if each.get("when") is None and n < last:
                detail = "a rule without `when` always holds, so it must be the last"
                self.fault(at, "overlapping_default", detail)
        if given[-1].get("when") is not None:
            detail = "the last rule must be the default: one without `when`"
            self.fault(f"/rules/{last}/when", "missing_default", detail)
        return tuple(
            Rule(each["code"], each["stage"], self._when(each.get("when"), f"/rules/{n}/when"))
            for n, each in enumerate(given)
        )

    def moves(
        self, given: Mapping[str, Sequence[str]] | None, stages: Sequence[str]
    ) -> dict[str, tuple[str, ...]]:
        if given is None:
            return {each: tuple(to for to in stages if to != each) for each in stages}
        for before, allowed in given.items():
            if before not in stages:
                self.fault(f"/moves/{_escaped(before)}", "unknown_stage", "there is no such stage")
            for n, after in enumerate(allowed):
                at = f"/moves/{_escaped(before)}/{n}"
                if after not in stages:
                    self.fault(at, "unknown_stage", f"there is no stage {after!r}")
                elif after == before:
                    self.fault(at, "no_move", "a stage is not left for itself")
        return {before: tuple(allowed) for before, allowed in given.items()}

    def check_whole(self, policy: Policy) -> None:
        """Check what only the whole document shows."""
        judged: list[Expression] = [rule.when for rule in policy.rules]
        for described in policy.described:
            judged += [option.when for option in described.options]
        computed = (
            term for when in judged for term in terms(when) if term.variable.source == "model"
        )
        used = next(computed, None)
        if used is not None and policy.model_id is None:
            detail = f"{used.name} needs the model whose cuts and parameters count"
            self.fault("/model_id", "missing", detail)
        decides = deciding(policy)
        if decides is None:
            decides = [True] * len(policy.rules)
        for n, reached in enumerate(decides):
            if not reached:
                detail = "no customer can get here: earlier rules hold wherever this one does"
                self.fault(f"/rules/{n}", "unreachable_rule", detail)
        entered = {rule.stage for rule, can in zip(policy.rules, decides, strict=True) if can}
        for n, code in enumerate(policy.stages):
            if code not in entered:
                detail = f"no rule can lead to {code!r}"
                self.fault(f"/stages/{n}", "unreachable_stage", detail)

    def _when(self, given: Any, at: str) -> Expression:
        if given is None:
            return ALWAYS
        try:
            return self._expression(given, at, 1)
        except _Stop:
            return ALWAYS

    def _stop(self, pointer: str, code: str, detail: str) -> _Stop:
        self.fault(pointer, code, detail)
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
        return All(parts) if word == "all" else AnyOf(parts)

    def _compare(self, given: Mapping[str, Any], at: str) -> Compare:
        parameters = ("kind", "days", "name")
        for key in given:
            if key not in ("variable", "op", "value", *parameters):
                raise self._stop(f"{at}/{_escaped(key)}", "extra_forbidden", "is not a field here")
        for key in ("op", "value"):
            if key not in given:
                raise self._stop(f"{at}/{key}", "missing", "is needed")
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
        variable = CATALOGUE.get(name) if isinstance(name, str) else None
        if variable is None:
            detail = f"there is no variable {str(name)[:50]!r}; see GET /v1/variables"
            raise self._stop(f"{at}/variable", "unknown_variable", detail)
        for key in ("kind", "days", "name"):
            if key in given and key not in variable.parameters:
                detail = f"{name} takes no {key}"
                raise self._stop(f"{at}/{key}", "extra_forbidden", detail)
        kind, days, attribute = given.get("kind"), given.get("days"), given.get("name")
        if "kind" in given and not (isinstance(kind, str) and _KIND.fullmatch(kind)):
            raise self._stop(f"{at}/kind", "type_mismatch", "must be a kind such as complaint")
        if "name" in given and not (isinstance(attribute, str) and 0 < len(attribute) <= 100):
            raise self._stop(f"{at}/name", "type_mismatch", "must be text")
        if "name" in variable.parameters and attribute is None:
            raise self._stop(f"{at}/name", "missing", "is needed: the key of the attribute")
        if "days" in given and (
            not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= MAX_WINDOW_DAYS
        ):
            detail = f"must be a whole number from 1 to {MAX_WINDOW_DAYS}"
            raise self._stop(f"{at}/days", "type_mismatch", detail)
        return Term(name, kind, days, attribute)

    def _other(self, term: Term, op: str, value: Mapping[str, Any], at: str) -> Term:
        """Read the variable that another one is compared with."""
        place = f"{at}/value"
        for key in value:
            if key not in ("variable", "kind", "days", "name"):
                raise self._stop(f"{place}/{_escaped(key)}", "extra_forbidden", "is not a field")
        if "variable" not in value:
            raise self._stop(f"{place}/variable", "missing", "is needed")
        other = self._term(value, place)
        if term.variable.type != "number" or other.variable.type != "number" or op not in ORDERED:
            detail = f"only numbers are compared with each other, by {', '.join(ORDERED)}"
            raise self._stop(place, "type_mismatch", detail)
        if other.moves and not (term.ages and other.ages):
            detail = f"{other.name} changes with time alone, and not as {term.name} does"
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
        found = _type_of(value)
        asked = variable.type
        if found is None or (asked not in ("any", "level") and found != asked):
            detail = f"{variable.name} is a {asked}" if asked != "any" else "must be a constant"
            raise self._stop(place, "type_mismatch", detail)
        if asked == "level":
            if value not in LEVELS[variable.name]:
                detail = f"must be one of {', '.join(LEVELS[variable.name])}"
                raise self._stop(place, "type_mismatch", detail)
        elif op in ORDERED and found != "number":
            raise self._stop(f"{at}/op", "type_mismatch", f"{op} compares numbers")
        return float(value) if found == "number" else value

    def _listed(self, variable: Variable, value: Any, at: str) -> tuple[str, ...]:
        place = f"{at}/value"
        if variable.type == "number":
            raise self._stop(f"{at}/op", "type_mismatch", "in compares texts")
        if not isinstance(value, list) or not value or len(value) > MAX_NODES:
            raise self._stop(place, "type_mismatch", "must be a list of texts")
        allowed = LEVELS.get(variable.name)
        for n, each in enumerate(value):
            if not isinstance(each, str) or (allowed is not None and each not in allowed):
                detail = "must be a text" if allowed is None else f"must be one of {allowed}"
                raise self._stop(f"{place}/{n}", "type_mismatch", detail)
        return tuple(value)


def _type_of(value: Any) -> str | None:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number" if abs(value) <= 1e15 else None
    return "text" if isinstance(value, str) and len(value) <= 500 else None


def _role(code: str) -> Role:
    return "churned" if code == "churned" else "prospect" if code == "potential" else "customer"


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
