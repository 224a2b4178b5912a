"""A score card in one paragraph: who it is, how late, what to expect, and whether to call.

Pure: what it says follows from the figures of the card alone, and contradicts none of them. The
word for the silence is that of the rhythm; it says "late" only of a silence longer than the gap
beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from app.services.scores.wording import count, plain

LOST, OVERDUE, DUE, ON_TIME = "lost", "overdue", "due", "on_time"
MUCH_TOO_LATE: Final = 0.02
"""At most so likely a silence of somebody still active is much too late, not just overdue."""
HARDLY_ANY: Final = 0.05
"""Fewer purchases than this are hardly any."""
LONG: Final = 2
"""A silence of more usual gaps than this is a long pause, however common such pauses are."""
LITTLE: Final = Decimal(1)
"""Less than this, in the currency of the deployment, is hardly anything to save."""
COMPLAINT: Final = "open_complaint"
WHY: Final = {
    "overdue": ("overdue", "已超期"),
    "declining_frequency": ("buys less often", "购买频次下降"),
    "declining_amount": ("spends less", "消费金额下降"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFigures:
    """What the sentence of a card is made of.

    `rhythm`, `chance_if_active` and `expected_purchases` are None without a model; `uncertain`
    says that the model had too little history to learn from; `advises` whether to say if to call,
    and what that may save: not where there is another reason than those that are known here.
    `to_save` is an amount with its currency, None where the model cannot tell.
    """

    stage: Mapping[str, str]
    purchase_days: int
    days_silent: int | None = None
    usual_gap_days: float | None = None
    rhythm: str | None = None
    chance_if_active: float | None = None
    expected_purchases: float | None = None
    horizon_days: int | None = None
    call_reasons: Sequence[str] = ()
    to_save: tuple[Decimal, str] | None = None
    uncertain: bool = False
    advises: bool = True


Both = tuple[str, str]
"""The same in English and in Chinese."""


def sentence(card: CardFigures) -> dict[str, str]:
    """Return the card in words, in English and in Chinese."""
    en, zh = _habit(card)
    parts = [(f"{card.stage['en']}; {en}", f"{card.stage['zh']}；{zh}")]
    told = (_outlook(card), *((_advice(card), _stake(card)) if card.advises else ()))
    parts += [found for found in told if found]
    return {
        "en": " ".join(f"{each}." for each, _ in parts),
        "zh": "".join(f"{each}。" for _, each in parts),
    }


def _habit(card: CardFigures) -> Both:
    """Say how the customer buys, and when the last time was."""
    if not card.purchase_days or card.days_silent is None:
        return "no purchase so far", "尚无购买"
    en, zh = _ago(card.days_silent)
    late = _late_once(card) if card.purchase_days == 1 else _late(card)
    if card.purchase_days == 1:
        told = f"bought once, {en}", f"仅购买过一次，在{zh}"
    elif card.usual_gap_days is None:
        days = card.purchase_days
        told = f"bought on {days} days, last {en}", f"在{days}天购买过，上次在{zh}"
    else:
        every = max(round(card.usual_gap_days), 1)
        gap = ("every day", "每天") if every == 1 else (f"every {every} days", f"每{every}天")
        told = f"usually buys {gap[0]}, last {en}", f"通常{gap[1]}购买一次，上次在{zh}"
    return told if late is None else (f"{told[0]}: {late[0]}", f"{told[1]}：{late[1]}")


def _ago(days: int) -> Both:
    if not days:
        return "today", "今天"
    return f"{count(days, 'day')} ago", f"{days}天前"


def _late(card: CardFigures) -> Both | None:
    """Say what the rhythm says of a silence after several purchases; of the lost, nothing."""
    assert card.days_silent is not None
    gaps = LONG if card.usual_gap_days is None else card.days_silent / card.usual_gap_days
    if card.rhythm == OVERDUE:
        return _OVERDUE[gaps > 1, _much(card)]
    within, beyond, long = _SILENCES.get(card.rhythm or "", (None, None, None))
    return within if gaps <= 1 else beyond if gaps <= LONG else long


_SILENCES: Final[Mapping[str, tuple[Both, Both, Both]]] = {
    ON_TIME: (
        ("on time", "正常"),
        ("not late yet", "尚不算迟"),
        ("a long pause, but not a rare one", "停顿较长，但并不少见"),
    ),
    DUE: (
        ("due about now", "临近下次购买"),
        ("a little late", "略迟"),
        ("late, though such pauses happen", "偏迟，但这样的停顿时有发生"),
    ),
}
"""Of a silence within the usual gap, beyond it, and beyond `LONG` of them."""
_OVERDUE: Final[Mapping[tuple[bool, bool], Both]] = {
    (True, False): ("overdue", "已超期"),
    (True, True): ("much too late", "严重超期"),
    (False, False): ("longer than usual for this customer", "对该客户而言偏久"),
    (False, True): ("far longer than usual for this customer", "对该客户而言久得反常"),
}
"""By whether the silence is beyond the usual gap, and much too long."""


def _late_once(card: CardFigures) -> Both | None:
    """Say what the rhythm says of the time since the only purchase.

    It speaks of those who do come back, which may be few: hence "would".
    """
    if card.rhythm == OVERDUE:
        much = ("a second one would be much too late", "若会再次购买，早已严重超期")
        return much if _much(card) else ("a second one would be overdue", "若会再次购买，已超期")
    return {
        ON_TIME: ("not late yet", "尚不算迟"),
        DUE: ("a second one would be due", "若会再次购买，已临近"),
    }.get(card.rhythm or "")


def _much(card: CardFigures) -> bool:
    return card.chance_if_active is not None and card.chance_if_active <= MUCH_TOO_LATE


def _outlook(card: CardFigures) -> Both | None:
    """Say how many purchases to expect."""
    if not card.purchase_days:
        return None
    expected, days = card.expected_purchases, card.horizon_days
    if expected is None or days is None:
        return "No model tells yet what to expect", "尚无模型可供预测"
    within = count(days, "day")
    if expected < HARDLY_ANY:
        told = f"Hardly any purchase expected in {within}", f"预计{days}天内几乎不会购买"
    else:
        shown = plain(f"{expected:.1f}") if expected < 10 else f"{expected:.0f}"
        told = (
            f"About {count(shown, 'purchase')} expected in {within}",
            f"预计{days}天内约购买{shown}次",
        )
    if not card.uncertain:
        return told
    return f"{told[0]}, a guess from little history", f"{told[1]}（历史数据少，仅供参考）"


def _advice(card: CardFigures) -> Both | None:
    """Say whether to call."""
    if card.call_reasons:
        return _call(card)
    if card.rhythm is None:
        return None
    if card.rhythm == LOST:
        if card.purchase_days == 1:  # nobody who may never have meant to come back has gone
            return "A second one is unlikely: a call will hardly help", "不大会复购，致电难有作用"
        return "Probably gone: a call will hardly help", "很可能已流失，致电难有作用"
    if card.rhythm == OVERDUE:
        return "No call: said to have left", "已确认离开，无需致电"
    return "No call needed", "无需致电"


def _call(card: CardFigures) -> Both:
    """Say why to call; what the word for the silence has said is not said again."""
    others = [
        WHY.get(reason, (reason.replace("_", " "), reason))
        for reason in card.call_reasons
        if reason != COMPLAINT and (reason != OVERDUE or card.rhythm != OVERDUE)
    ]
    en, zh = ", ".join(each for each, _ in others), "、".join(each for _, each in others)
    if COMPLAINT not in card.call_reasons and card.to_save and card.to_save[0] < LITTLE:
        why = f" ({en})" if en else "", f"（{zh}）" if zh else ""
        return f"A call will hardly pay{why[0]}", f"致电收益甚微{why[1]}"
    if COMPLAINT in card.call_reasons:
        return (
            f"Complained{', ' * bool(en)}{en}: call",
            f"有未解决投诉{'、' * bool(zh)}{zh}：请致电",
        )
    return (f"Worth a call: {en}", f"值得致电：{zh}") if others else ("Worth a call", "值得致电")


def _stake(card: CardFigures) -> Both | None:
    """Say what a call may save, of those to call."""
    if not card.call_reasons or card.to_save is None:
        return None
    amount, currency = card.to_save
    if amount < LITTLE:
        return None
    return f"About {amount:,.2f} {currency} to save", f"约可挽回{amount:,.2f} {currency}"
