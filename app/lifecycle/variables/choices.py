"""What the words are called that variables have for values, where these can be listed."""

from collections.abc import Mapping
from typing import Final

_Choices = Mapping[str, Mapping[str, str]]


def _called(**names: tuple[str, str]) -> _Choices:
    return {code: {"en": en, "zh": zh} for code, (en, zh) in names.items()}


RFM_GROUPS: Final = _called(
    champions=("Champions", "冠军客户"),
    regulars=("Regulars", "常客"),
    rising=("Rising", "上升客户"),
    recent=("Recent", "近期首购"),
    promising=("Promising", "有望客户"),
    need_attention=("Need attention", "需要关注"),
    about_to_sleep=("About to sleep", "即将沉睡"),
    cant_lose_them=("Can't lose them", "不可失去"),
    slipping=("Slipping", "渐行渐远"),
    hibernating=("Hibernating", "休眠客户"),
)
CHOICES: Final[Mapping[str, _Choices]] = {
    "rfm_group": RFM_GROUPS,
    "rhythm": _called(
        on_time=("On time", "正常"),
        due=("Due", "临近"),
        overdue=("Overdue", "已超期"),
        lost=("Lost", "难挽回"),
    ),
    "call_reasons": _called(
        overdue=("Overdue", "已超期"),
        declining_frequency=("Buys less often", "购买频次下降"),
        declining_amount=("Spends less", "消费金额下降"),
        open_complaint=("Open complaint", "有未解决投诉"),
    ),
    "value_tier": _called(high=("High", "高"), medium=("Medium", "中"), low=("Low", "低")),
    "kind": _called(person=("Person", "个人"), company=("Company", "企业")),
}
"""By variable. What stages are called, the policy in force says."""
