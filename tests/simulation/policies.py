"""Policies of the simulation: the presets, any the language can say, and ones with long windows."""

import random
from typing import Any, NamedTuple

from hypothesis import strategies as st

from app.lifecycle.documents import InvalidPolicy, parse
from app.lifecycle.presets import PRESETS
from tests.lifecycle import at_random

ROLES = {"potential": "prospect", "churned": "churned"}
SILENT = next(each for each in PRESETS["five_stages"]["rules"] if each["stage"] == "churned")
AGES = ("tenure_days", "life_tenure_days", SILENT["when"]["variable"])
WINDOWS = (1, 7, 30, 90, 180)
KINDS = ("complaint", "survey", "csat", "call", "cancelled")
SATISFACTION = ("last_satisfaction", "satisfied")


def described(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document as the API takes it: with a name, and with what its stages mean."""
    stages = [{**each, "role": each.get("role") or ROLES.get(each["code"], "customer")}
              for each in document["stages"]]  # fmt: skip
    return {"name": {"en": "Some policy", "zh": "策略"}, **document, "stages": stages}


def _windowed(rng: random.Random) -> dict[str, Any]:
    """Return a policy on what happened within some days, and on long silences."""
    found = {
        "stages": [{"code": code, "name": {"en": code, "zh": code}} for code in at_random.STAGES],
        "inactivity_limit": {
            "floor_days": rng.choice((1, 30, 60, 180)),
            "gap_multiple": rng.choice((1, 2, 3)),
            "gap_margin_days": rng.choice((0, 30, 365)),
        },
        "rules": [
            *({"code": f"rule_{n}", "stage": rng.choice(at_random.STAGES), "when": _window(rng)}
              for n in range(rng.randint(1, 4))),
            {"code": "never", "stage": "potential",
             "when": {"variable": "purchase_days", "op": "<", "value": 1}},
            SILENT,
            {"code": "default", "stage": rng.choice(at_random.STAGES[1:4])},
        ],
    }  # fmt: skip
    return at_random.in_season(found)


def _window(rng: random.Random) -> dict[str, Any]:
    choice = rng.randrange(6)
    if choice == 5:
        return _asks_satisfaction(rng)
    if choice == 0:
        return {"variable": "complaints_90_days", "op": rng.choice((">=", "==", ">")),
                "value": rng.choice((1, 2))}  # fmt: skip
    if choice == 1:
        term = {"variable": rng.choice(AGES)}
        return {"all": [{**term, "op": ">=", "value": rng.choice(WINDOWS)},
                        {**term, "op": "<", "value": rng.choice((100, 200, 400))}]}  # fmt: skip
    if choice == 2:
        term = {"variable": "days_since_interaction", "kind": rng.choice(KINDS)}
        return {"all": [{**term, "op": ">", "value": rng.choice(WINDOWS)},
                        {**term, "op": "<=", "value": rng.choice((100, 200, 400))}]}  # fmt: skip
    term = {"variable": "interactions", "days": rng.choice(WINDOWS)}
    if rng.random() < 0.7:
        term["kind"] = rng.choice(KINDS)
    elif rng.random() < 0.5:
        term["phase"] = rng.choice(("presale", "sale", "aftersale"))
    return {**term, "op": rng.choice(("==", ">=", "<=")), "value": rng.choice((1, 1, 2))}


def _asks_satisfaction(rng: random.Random) -> dict[str, Any]:
    """Return what is asked of the last answer, of the kind that always has a scale or of any."""
    term = {"variable": rng.choice(SATISFACTION)}
    if rng.random() < 0.5:
        term["kind"] = "survey"
    if term["variable"] == "satisfied":
        return {**term, "op": "==", "value": rng.random() < 0.5}
    return {**term, "op": rng.choice(("<", ">=")), "value": rng.choice((0.25, 0.3, 0.5, 0.75))}


def _valid(rng: random.Random) -> dict[str, Any]:
    document = described(_windowed(rng))
    while True:
        try:
            parse(1, document)
        except InvalidPolicy as refused:
            document = at_random._without(document, {fault.pointer for fault in refused.faults})
        else:
            return document


def renamed(document: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return a policy that calls some stages otherwise, maybe with other rules too."""
    rng = random.Random(seed)
    codes = [each["code"] for each in document["stages"]]
    some = rng.sample(codes, rng.randint(1, len(codes)))
    new = {code: f"{code.split('_v')[0]}_v{seed}" if code in some else code for code in codes}
    # Some are left without a word of what they were.
    maps = {code: new[code] for code in some if rng.random() < 0.8 and new[code] not in codes}
    moves = document.get("transitions")
    rules = [{**each, "stage": new[each["stage"]]} for each in document["rules"]]
    if rng.random() < 0.5:
        other = {"variable": "purchase_days", "op": ">=", "value": rng.choice((1, 2, 3))}
        entered = rng.choice(list(new.values()))
        rules.insert(0, {"code": f"more_{seed}", "stage": entered, "when": other})
    found = {
        **document,
        "stages": [{**each, "code": new[each["code"]]} for each in document["stages"]],
        "rules": rules,
        "transitions": moves
        and {new[code]: [new[to] for to in allowed] for code, allowed in moves.items()},
        "maps": maps,
    }
    try:
        parse(1, found)
    except InvalidPolicy:  # Who is in the first stage may be in no other.
        found["rules"] = [each for each in rules if each["code"] != f"more_{seed}"]
    return found


class Choice(NamedTuple):
    """A policy by its preset, or by how it is made at random."""

    made: str
    seed: int = 0

    def document(self) -> dict[str, Any]:
        if self.made in PRESETS:
            return described(PRESETS[self.made])
        rng = random.Random(self.seed)
        if self.made == "windowed":
            return _valid(rng)
        while True:  # No model stays for as long as a policy that names it.
            document, policy = at_random.policy(rng)
            if "model" not in policy.sources:
                return described({**document, "model_id": None})


choices = st.one_of(
    st.sampled_from(list(PRESETS)).map(Choice),
    st.builds(Choice, st.sampled_from(("windowed", "any")), st.integers(0, 2**32 - 1)),
)
