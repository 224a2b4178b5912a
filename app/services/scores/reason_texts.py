"""The reasons of churn risk in words and numbers, and the facts behind them.

Each text holds the two numbers that the reason compares, and no other reference: where they are
equal the cause adds nothing. It ends by saying which way the cause moves the risk, which for some
is as the data have it: no word of them reads as if it were known beforehand.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from app.days import from_day
from app.money import UNITS
from app.scoring.churn import design
from app.scoring.churn.churn_risk import Reasons
from app.scoring.histories.features import COMPLAINT_DAYS
from app.services.models.model_inputs import ModelInputs
from app.services.scores.reason_inputs import ReasonInputs
from app.services.scores.wording import apart, count

_EFFECTS: Final = {
    1: ("raises the risk", "使风险升高"),
    -1: ("lowers the risk", "使风险降低"),
    0: ("does not move the risk", "不影响风险"),
}


@dataclass(frozen=True, slots=True)
class ReasonText:
    """A value, what it is compared with, the two in words, and the facts behind."""

    value: float | None
    reference: float | None
    en: str
    zh: str
    facts: dict[str, Any]


def explain(inputs: ModelInputs, reasons: Reasons, row: int) -> list[dict[str, Any]]:
    """Return the reasons of one customer, the weightiest first, in words and numbers.

    Those that move the risk; of a model that looks at x, t_x and T alone, always all three.
    """
    known = {name: column.item(row) for name, column in vars(inputs.features).items()}
    seen = ReasonInputs(inputs.model, inputs.as_of.day, known)
    return tell(seen, {code: part.item(row) for code, part in reasons.parts.items()})


def tell(seen: ReasonInputs, parts: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the reasons of one customer, by what each cause adds to the log-odds."""
    told = [
        {"code": code, "contribution": part, **reason(seen, code, part)}
        for code, part in parts.items()
        if part or seen.model.risk is None
    ]
    return sorted(told, key=lambda each: -abs(each["contribution"]))


def reason(seen: ReasonInputs, code: str, part: float) -> dict[str, Any]:
    """Return what is said of a cause that adds a part: it follows from `QUOTED` and its sign."""
    found = _WORDS[code](seen)
    en, zh = _EFFECTS[(part > 0) - (part < 0)]
    return {
        "value": _known(found.value),
        "reference": _known(found.reference),
        "text": {"en": f"{found.en}: {en}", "zh": f"{found.zh}，{zh}"},
        "facts": found.facts,
    }


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _on(seen: ReasonInputs, days_ago: float) -> str:
    return from_day(int(seen.day - days_ago)).isoformat()


def _purchases(seen: ReasonInputs) -> ReasonText:
    bought, usual = seen.x + 1, seen.model.typical_days[0] + 1
    own, other = apart(bought, usual)
    return ReasonText(
        bought,
        usual,
        f"{count(own, 'purchase day')}, the customer compared with {other}",
        f"购买{own}天，对照客户为{other}天",
        {"purchase_days": int(bought)},
    )


def _age(seen: ReasonInputs) -> ReasonText:
    age, usual = seen.T, seen.model.typical_days[2]
    own, other = apart(age, usual)
    return ReasonText(
        age,
        usual,
        f"customer for {count(own, 'day')}, the customer compared with for {other}",
        f"成为客户{own}天，对照客户为{other}天",
        {"first_purchase_on": _on(seen, age)},
    )


def _silence(seen: ReasonInputs) -> ReasonText:
    """Compare with the silence that the risk compares with: by share of the age, if it does so."""
    facts = {"last_purchase_on": _on(seen, seen.silent)}
    if seen.model.risk is None:
        _, t_x, age = seen.model.typical_days
        usual, at_age = age - t_x, ("", "")
    else:
        usual = seen.model.risk.reference_silence(seen.T)
        at_age = (" at this age", "在相同时长下")
    own, other = apart(seen.silent, usual)
    return ReasonText(
        seen.silent,
        usual,
        f"{count(own, 'day')} silent, the customer compared with {other}{at_age[0]}",
        f"已沉默{own}天，对照客户{at_age[1]}为{other}天",
        facts,
    )


def _frequency_trend(seen: ReasonInputs) -> ReasonText:
    mean, gaps = seen.recent("gap")
    usual = seen.t_x / max(seen.x, 1)
    own, other = apart(mean, usual)
    return ReasonText(
        mean,
        usual,
        f"last gaps {count(own, 'day')} on average (the latest counts most), all gaps {other}",
        f"最近几次购买间隔平均{own}天（越近权重越大），全部间隔平均{other}天",
        {"gaps": [int(gap) for gap in gaps]},
    )


def _amount_trend(seen: ReasonInputs) -> ReasonText:
    recent, values = seen.recent("value")
    mean, usual = recent / UNITS, seen.mean_value / UNITS
    own, other = apart(mean, usual, 2)
    return ReasonText(
        mean,
        usual,
        f"{own} on each of the last purchase days (the latest counts most), {other} on all",
        f"最近几个购买日平均{own}（越近权重越大），全部购买日平均{other}",
        {"values": [value / UNITS for value in values]},
    )


def _value(seen: ReasonInputs) -> ReasonText:
    assert seen.model.risk is not None
    mean, usual = seen.mean_value / UNITS, seen.model.risk.scales.value / UNITS
    own, other = apart(mean, usual, 2)
    return ReasonText(
        mean,
        usual,
        f"{own} on a purchase day, the customer compared with {other}",
        f"每个购买日{own}，对照客户为{other}",
        {"mean_value": mean},
    )


def _regularity(seen: ReasonInputs) -> ReasonText:
    n = max(seen.x, 1.0)
    middle = float(np.exp(seen.sum_log_gaps / n))
    random = max(seen.t_x, 1.0) / n * design.memoryless_share(n)
    own, other = apart(middle, random)
    gaps = [int(gap) for gap in seen.recent("gap")[1]]
    return ReasonText(
        middle,
        random,
        f"gaps of {count(own, 'day')} as a geometric mean, {other} were the purchases at random",
        f"购买间隔的几何平均为{own}天，若随机购买则为{other}天",
        {"gaps": gaps},
    )


def _refunds(seen: ReasonInputs) -> ReasonText:
    own = f"{seen.refunds:.0f}"
    return ReasonText(
        seen.refunds,
        0.0,
        f"{count(own, 'refund')}, the customer compared with 0",
        f"退款{own}次，对照客户为0次",
        {"refunds": int(seen.refunds)},
    )


def _complaints(seen: ReasonInputs) -> ReasonText:
    own = f"{seen.complaints:.0f}"
    return ReasonText(
        seen.complaints,
        0.0,
        f"{count(own, 'complaint')} in the last {COMPLAINT_DAYS} days, the customer compared with "
        "0",
        f"最近{COMPLAINT_DAYS}天投诉{own}次，对照客户为0次",
        {"complaints_90_days": int(seen.complaints)},
    )


def _satisfaction(seen: ReasonInputs) -> ReasonText:
    assert seen.model.risk is not None
    own, usual = seen.satisfaction, seen.model.risk.scales.satisfaction
    told, other = apart(100 * own, 100 * usual)
    return ReasonText(
        own,
        usual,
        f"satisfaction {told} % of its scale in the last survey, {other} % on average",
        f"最近一次调查满意度为量表的{told}%，平均为{other}%",
        {"last_satisfaction": own},
    )


def _surveyed(seen: ReasonInputs) -> ReasonText:
    return ReasonText(
        None,
        None,
        "has answered a survey, the customer compared with none that is known",
        "答过调查，对照客户没有已知的答复",
        {"last_satisfaction": seen.satisfaction},
    )


def _contact_silence(seen: ReasonInputs) -> ReasonText:
    assert seen.model.risk is not None
    usual = float(np.expm1(seen.model.risk.scales.contact))
    own, other = apart(seen.contact_silence, usual)
    return ReasonText(
        seen.contact_silence,
        usual,
        f"{count(own, 'day')} without an interaction, {other} on average",
        f"{own}天没有互动，平均为{other}天",
        {"last_interaction_on": _on(seen, seen.contact_silence)},
    )


def _contacted(seen: ReasonInputs) -> ReasonText:
    return ReasonText(
        None,
        None,
        "has been in contact, the customer compared with not, as far as is known",
        "有过联系，对照客户没有已知的互动",
        {"last_interaction_on": _on(seen, seen.contact_silence)},
    )


def _purchase_history(seen: ReasonInputs) -> ReasonText:
    del seen
    return ReasonText(
        None,
        None,
        "how often, since when and how long ago together, though none of them by itself",
        "购买次数、成为客户的时长与沉默时间共同起作用，单独任何一项则不然",
        {},
    )


_WORDS: dict[str, Callable[[ReasonInputs], ReasonText]] = {
    "purchases": _purchases,
    "age": _age,
    "inactivity": _silence,
    "frequency_trend": _frequency_trend,
    "amount_trend": _amount_trend,
    "value": _value,
    "regularity": _regularity,
    "refunds": _refunds,
    "complaints": _complaints,
    "satisfaction": _satisfaction,
    "surveyed": _surveyed,
    "contact_silence": _contact_silence,
    "contacted": _contacted,
    "purchase_history": _purchase_history,
}
