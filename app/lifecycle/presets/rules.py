"""Rules and transitions that presets have in common."""

from app.lifecycle.presets.parts import Document, compare, had

Transitions = dict[str, list[str]]


def never_purchased(stage: str) -> Document:
    return _rule("never_purchased", stage, compare("purchase_days", "<", 1))


def silent(stage: str) -> Document:
    limit = {"variable": "inactivity_limit_days"}
    when = {"variable": "days_since_last_purchase", "op": ">", "value": limit}
    return _rule("silent_too_long", stage, when)


def lasting(stage: str, purchase_days: int, tenure_days: int) -> Document:
    """Ask for many purchase days in this life, and a first purchase long ago."""
    often = compare("life_purchase_days", ">=", purchase_days)
    when = {"all": [often, compare("tenure_days", ">=", tenure_days)]}
    return _rule("frequent_and_long_standing", stage, when)


def repeated(stage: str) -> Document:
    return _rule("repeat_purchase", stage, compare("purchase_days", ">=", 2))


def otherwise(code: str, stage: str) -> Document:
    return {"code": code, "stage": stage}


def contract_over(stage: str) -> list[Document]:
    """Ask for a contract that ended, or a cancellation with no purchase or renewal since."""
    cancelled = {"variable": "days_since_interaction", "kind": "cancelled"}
    renewed = {"variable": "days_since_interaction", "kind": "contract_renewed"}
    never = compare("days_since_last_purchase", "known", value=False)
    last = {
        "any": [never, {**cancelled, "op": "<=", "value": {"variable": "days_since_last_purchase"}}]
    }
    stands = {"not": {**renewed, "op": "<=", "value": cancelled}}
    return [
        _rule("contract_ended", stage, compare("days_until_contract_end", "<", 0)),
        _rule("cancelled", stage, {"all": [had("cancelled"), last, stands]}),
    ]


def _rule(code: str, stage: str, when: Document) -> Document:
    return {"code": code, "stage": stage, "when": when}


def five_transitions() -> Transitions:
    return {
        "potential": ["initial", "active", "churned"],
        "initial": ["potential", "active", "churned"],
        "active": ["loyal", "churned"],
        "loyal": ["active", "churned"],
        "churned": ["initial", "active", "potential"],
    }


def four_transitions(prospect: str, early: str, late: str, left: str) -> Transitions:
    """Allow the next stage and the one before, leaving, and any return."""
    return {
        prospect: [early, left],
        early: [prospect, late, left],
        late: [early, left],
        left: [early, late, prospect],
    }
