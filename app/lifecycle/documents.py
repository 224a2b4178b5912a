"""Reading a policy document: what is wrong with it is told with a pointer to each fault."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from app.lifecycle import ranges
from app.lifecycle.expressions import Expression, terms
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.kinds import Kinds
from app.lifecycle.policy import Option, Policy, Role, Rule, Stage
from app.lifecycle.presets.kinds import CORE
from app.lifecycle.reachability import deciding
from app.lifecycle.reading import ExpressionReader, Fault
from app.lifecycle.reading_faults import escaped
from app.seasons import Season


class InvalidPolicy(ValueError):
    """A document that is no policy."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults))
        self.faults = tuple(faults)


def parse(version: int, document: Mapping[str, Any], kinds: Kinds = CORE) -> Policy:
    """Read a document of the shape that the API accepts; raise InvalidPolicy with all faults.

    Rules look at interactions by what is declared of their kinds.
    """
    reader = _Reader(kinds)
    policy = reader.policy(version, document)
    if all(fault.code in ranges.CODES for fault in reader.faults):
        reader.check_whole(policy)
    if reader.faults:
        raise InvalidPolicy(reader.faults)
    return policy


def restore(version: int, document: Mapping[str, Any], kinds: Kinds | None) -> Policy:
    """Read a stored document. It was checked when it was written: later checks do not refuse it.

    `kinds` is the copy that the version holds; older versions have none, and read the scores of
    `survey` as they are.
    """
    reader = _Reader(kinds)
    policy = reader.policy(version, document)
    if not reader.is_read:
        raise InvalidPolicy(reader.faults)
    return policy


class _Reader(ExpressionReader):
    allows = attrgetter("in_stage_policies")
    not_allowed = "is what this policy decides, so that its rules cannot look at it"

    def policy(self, version: int, document: Mapping[str, Any]) -> Policy:
        stages = self.stages(document["stages"])
        codes = [stage.code for stage in stages]
        return Policy(
            version=version,
            described=stages,
            inactivity_limit=InactivityLimit(
                **document["inactivity_limit"], season=self.season(document.get("season"))
            ),
            rules=self.rules(document["rules"], set(codes)),
            transitions=self.transitions(document.get("transitions"), codes),
            maps=self.maps(document.get("maps") or {}, codes),
            model_id=document.get("model_id"),
        )

    def season(self, given: Sequence[float] | None) -> Season | None:
        try:
            return Season.of(given)
        except ValueError as wrong:
            self.fault("/season", "no_season", str(wrong))
            return None

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
            Option(each["code"], each["name"], self.when(each.get("when"), f"{at}/{n}/when"))
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
            Rule(each["code"], each["stage"], self.when(each.get("when"), f"/rules/{n}/when"))
            for n, each in enumerate(given)
        )

    def transitions(
        self, given: Mapping[str, Sequence[str]] | None, stages: Sequence[str]
    ) -> dict[str, tuple[str, ...]]:
        if given is None:
            return {stage: tuple(to for to in stages if to != stage) for stage in stages}
        for before, allowed in given.items():
            if before not in stages:
                at = f"/transitions/{escaped(before)}"
                self.fault(at, "unknown_stage", "there is no such stage")
            for n, after in enumerate(allowed):
                at = f"/transitions/{escaped(before)}/{n}"
                if after not in stages:
                    self.fault(at, "unknown_stage", f"there is no stage {after!r}")
                elif after == before:
                    self.fault(at, "no_transition", "a stage is not left for itself")
                elif after in allowed[:n]:
                    self.fault(at, "duplicate_code", f"{after!r} comes twice")
        return {before: tuple(allowed) for before, allowed in given.items()}

    def maps(self, given: Mapping[str, str], stages: Sequence[str]) -> dict[str, str]:
        for before, after in given.items():
            at = f"/maps/{escaped(before)}"
            if before in stages:
                detail = f"{before!r} is a stage of this version, too: its code stays its own"
                self.fault(at, "stage_kept", detail)
            if after not in stages:
                self.fault(at, "unknown_stage", f"there is no stage {after!r} in this version")
        return dict(given)

    def check_whole(self, policy: Policy) -> None:
        """Check what only the whole document shows."""
        judged: list[Expression] = [rule.when for rule in policy.rules]
        for described in policy.described:
            judged += [option.when for option in described.options]
        computed = (term for when in judged for term in terms(when) if "model" in term.needs)
        used = next(computed, None)
        if used is not None and policy.model_id is None:
            detail = f"{used.name} needs the model whose cuts and parameters count"
            self.fault("/model_id", "missing", detail)
        reasons = deciding(policy)
        for n, reason in enumerate(reasons):
            if reason is not None:
                self.fault(f"/rules/{n}", "unreachable_rule", reason)
        entered = {
            rule.stage for rule, reason in zip(policy.rules, reasons, strict=True) if reason is None
        }
        for n, code in enumerate(policy.stages):
            if code not in entered:
                detail = f"no customer can get to {code!r}: no rule that can decide leads there"
                self.fault(f"/stages/{n}", "unreachable_stage", detail)


def _role(code: str) -> Role:
    return "churned" if code == "churned" else "prospect" if code == "potential" else "customer"
