"""Comparisons that say nothing, as no value of their variable makes a difference to them."""

import math

from app.lifecycle.expressions import Constant
from app.lifecycle.variables.definition import Variable

OUT_OF_RANGE, NEVER_HOLDS, ALWAYS_HOLDS = CODES = ("out_of_range", "never_holds", "always_holds")


def fault(variable: Variable, op: str, value: Constant) -> tuple[str, str] | None:
    """Return the code and the detail of what is wrong with a constant that is compared with.

    What holds for every known value is let pass where values may be unknown: it tells the two
    apart.
    """
    listed = variable.choices
    if listed is not None and value not in listed:
        return "type_mismatch", f"must be one of {', '.join(listed)}"
    if variable.type == "level":
        assert listed is not None
        place, low, high = float(listed.index(str(value))), 0.0, float(len(listed) - 1)
        said = f"{variable.name} goes from {listed[0]} to {listed[-1]}"
    elif isinstance(value, float):
        low = -math.inf if variable.minimum is None else variable.minimum
        high = math.inf if variable.maximum is None else variable.maximum
        place, said = value, f"{variable.name} is {_said(low, high)}"
    else:
        strange = variable.pattern is not None and not variable.pattern.fullmatch(str(value))
        return ("type_mismatch", variable.pattern_said) if strange else None
    if not low <= place <= high:
        return OUT_OF_RANGE, said
    if (op, place) in (("<", low), (">", high)):
        return NEVER_HOLDS, f"{said}, so this never holds"
    if (op, place) in ((">=", low), ("<=", high)) and variable.always_known:
        return ALWAYS_HOLDS, f"{said}, so this always holds"
    return None


def _said(low: float, high: float) -> str:
    if high == math.inf:
        return f"{low:g} or more"
    return f"between {low:g} and {high:g}"
