"""The kinds of interactions that every deployment begins with; each may be declared otherwise."""

from typing import Any, Final

from app.lifecycle.kinds import Kinds, read
from app.lifecycle.presets.parts import text

_Scale = tuple[float, float, float] | None


def _kind(
    en: str,
    zh: str,
    phase: str,
    *,
    contact: bool = True,
    scale: _Scale = None,
    outcomes: tuple[str, ...] = (),
) -> dict[str, Any]:
    return {
        "name": text(en, zh),
        "phase": phase,
        "contact": contact,
        "scale": None if scale is None else _scale(*scale),
        "outcomes": list(outcomes),
    }


def _scale(low: float, high: float, good_from: float) -> dict[str, float]:
    return {"min": low, "max": high, "good_from": good_from}


SNOOZED: Final = "snoozed"
"""By an interaction of this kind a line of the worklist waits until the day in `until`."""
IN_VAIN: Final = ("not_reached", "no_response")
"""Outcomes of an attempt: nobody was met, so that there is still a contact to make."""
_REACHED = ("reached", "not_reached")
_SOLVED = ("solved", "not_solved")

CORE_KINDS: Final[dict[str, dict[str, Any]]] = {
    "visit": _kind("Visit", "拜访或到访", "none"),
    "call": _kind("Call", "电话", "none", outcomes=_REACHED),
    "meeting": _kind("Meeting", "会议", "none"),
    "demo": _kind("Demonstration", "演示", "presale"),
    "trial": _kind("Trial", "试用", "presale", outcomes=("liked", "not_liked")),
    "quote": _kind("Quote", "报价", "presale", outcomes=("accepted", "declined")),
    "decision": _kind("Decision", "采购决策", "sale", outcomes=("won", "lost", "postponed")),
    "consult": _kind("Consultation", "咨询", "presale"),
    "email_open": _kind("E-mail opened", "打开邮件", "none"),
    "email_click": _kind("Click in an e-mail", "点击邮件", "none"),
    "campaign": _kind("Campaign", "营销活动触达", "none", outcomes=("responded", "no_response")),
    "event": _kind("Event", "参加活动", "none"),
    "training": _kind("Training", "培训", "aftersale"),
    "inspection": _kind("Inspection", "巡检", "aftersale"),
    "ticket_opened": _kind("Ticket opened", "工单创建", "aftersale"),
    "ticket_closed": _kind("Ticket closed", "工单关闭", "aftersale", outcomes=_SOLVED),
    "complaint": _kind("Complaint", "投诉", "aftersale", outcomes=_SOLVED),
    "survey": _kind("Survey", "满意度调查", "aftersale", scale=(0, 10, 5)),
    "nps": _kind("Net promoter survey", "净推荐值调查", "aftersale", scale=(0, 10, 7)),
    "csat": _kind("Satisfaction survey", "客户满意度评分", "aftersale", scale=(1, 5, 4)),
    "ces": _kind("Effort survey", "客户费力度评分", "aftersale", scale=(1, 7, 5)),
    "care": _kind("Care", "客户关怀", "aftersale"),
    "mention": _kind("Mention", "提及", "none", contact=False),
    "payment_overdue": _kind("Payment overdue", "逾期付款", "sale", contact=False),
    SNOOZED: _kind("Snoozed until a day", "暂缓跟进", "none", contact=False),
    "contract_renewed": _kind("Contract renewed", "合同续签", "sale"),
    "cancelled": _kind("Cancelled", "取消合同", "sale"),
}
CORE: Final[Kinds] = read(CORE_KINDS)

_SCALES: Final[tuple[tuple[float, float, float], ...]] = ((1, 5, 3), (0, 5, 3), (0, 10, 5))


def scale_of_answers(least: float, best: float) -> dict[str, float]:
    """Return the usual scale that answers given before there were scales fit on.

    From its middle on they are good, as the ready policies had it on a scale of 1 to 5.
    """
    fitting = (each for each in _SCALES if each[0] <= least and best <= each[1])
    return _scale(*next(fitting, (0, 100, 50)))
