"""The ready rules of the worklist: what counts before a company has put its own in force."""

from typing import Any, Final

from app.lifecycle.presets.parts import compare, text
from app.services.scores.card_sentences import WHY

_Both = tuple[str, str]
_FRESH, _SURVEYED, _ENDING, _WELCOME, _QUIET = 90, 60, 60, 30, 14


def _rule(
    code: str,
    duty: str,
    name: _Both,
    sentence: _Both,
    action: _Both,
    when: dict[str, Any],
    again: int = 90,
) -> dict[str, Any]:
    return {
        "code": code,
        "duty": duty,
        "name": text(*name),
        "sentence": text(*sentence),
        "action": text(*action),
        "when": when,
        "again_after_days": again,
    }


def _said(reason: str) -> dict[str, Any]:
    return {"variable": "call_reasons", "op": "contains", "value": reason}


def _all(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"all": list(parts)}


_NEVER_BOUGHT = compare("purchase_days", "<", 1)
READY: Final[dict[str, Any]] = {
    "lines_a_day": 20,
    "teams": [],
    "rules": [
        _rule(
            "open_complaint", "complaint", ("open complaint", "有未解决投诉"),
            ("Complained {days} days ago, and nobody has got in touch since",
             "{days}天前投诉，此后尚无人联系"),
            ("Call, listen, and resolve the complaint", "联系客户，听取并解决投诉"),
            {"variable": "interactions", "kind": "complaint", "days": _FRESH, "op": ">=",
             "value": 1},
        ),
        _rule(
            "low_satisfaction", "complaint", ("dissatisfied", "满意度低"),
            ("The last survey, {days} days ago, was not a good one",
             "{days}天前的最近一次调查不满意"),
            ("Ask what went wrong, and put it right", "询问不满的原因并设法补救"),
            compare("days_since_low_satisfaction", "<=", _SURVEYED),
        ),
        _rule(
            "contract_ending", "promise", ("contract ending", "合同即将到期"),
            ("The contract ends soon: its renewal is to be talked about, since {since}",
             "合同即将到期，自{since}起应洽谈续签"),
            ("Talk about the renewal", "洽谈续签"),
            _all(compare("days_until_contract_end", "<=", _ENDING),
                 compare("days_until_contract_end", ">=", 0)),
            _ENDING,
        ),
        _rule(
            "quiet_after_demo", "promise", ("quiet after a demonstration", "演示后无音讯"),
            (f"Saw a demonstration, has not bought, and has been quiet for over {_QUIET} days",
             f"看过演示但尚未购买，已超过{_QUIET}天无音讯"),
            ("Ask what keeps them from deciding", "询问尚未决定的原因"),
            _all(_NEVER_BOUGHT,
                 {"variable": "days_since_interaction", "kind": "demo", "op": "<=", "value": 120},
                 compare("days_since_interaction", ">", _QUIET)),
            30,
        ),
        _rule(
            "new_customer", "promise", ("new customer to welcome", "新客户待欢迎"),
            ("Bought for the first time: to be welcomed, since {since}",
             "首次购买，自{since}起待欢迎"),
            ("Welcome, and ask how the first purchase was", "欢迎，并询问首次购买的体验"),
            _all(compare("purchase_days", "==", 1),
                 compare("days_since_last_purchase", ">=", 1),
                 compare("days_since_last_purchase", "<=", _WELCOME)),
        ),
        _rule(
            "overdue", "retention", WHY["overdue"],
            ("Silent for {days} days longer than usual", "沉默已比平时多{days}天"),
            ("Get in touch before they are lost", "在流失之前主动联系"),
            _said("overdue"),
        ),
        _rule(
            "declining_frequency", "retention", WHY["declining_frequency"],
            ("Has been buying less often", "购买频次持续下降"),
            ("Ask what has changed", "询问情况有何变化"),
            _said("declining_frequency"),
        ),
        _rule(
            "declining_amount", "retention", WHY["declining_amount"],
            ("Has been spending less with each purchase", "每次消费金额持续下降"),
            ("Ask what has changed", "询问情况有何变化"),
            _said("declining_amount"),
        ),
        _rule(
            "birthday", "care", ("birthday", "生日"),
            ("Has a birthday today", "今天生日"),
            ("Send wishes", "致以生日祝福"),
            compare("days_until_birthday", "<=", 0), 300,
        ),
    ],
}  # fmt: skip
"""Nobody who is lost is on it for silence or decline: the run gives no such reason of them."""
