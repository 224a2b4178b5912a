"""The sentence of a card: right words for every combination of figures, contradicting none."""

import itertools
import re
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.scores.calls import SETS
from app.services.scores.card_sentences import CardFigures, sentence
from tests import slow_cards

LOYAL = {"en": "Loyal", "zh": "忠诚"}
CARD = CardFigures(
    stage=LOYAL, purchase_days=9, days_silent=34, usual_gap_days=21.3, rhythm="due",
    chance_if_active=0.21, expected_purchases=2.31, horizon_days=90,
)  # fmt: skip
ONCE = replace(CARD, purchase_days=1, usual_gap_days=44.0, expected_purchases=0.4)
TOO_LATE = replace(CARD, days_silent=70, rhythm="overdue", call_reasons=("overdue",))


EXPECTED = {
    "Loyal; usually buys every 21 days, last 34 days ago: a little late. "
    "About 2.3 purchases expected in 90 days. No call needed.": CARD,
    "Loyal; usually buys every 21 days, last today: on time. "
    "About 1 purchase expected in 1 day. No call needed.": replace(
        CARD, days_silent=0, rhythm="on_time", expected_purchases=1.04, horizon_days=1
    ),
    "Loyal; usually buys every day, last 1 day ago: due about now. "
    "About 75 purchases expected in 90 days. No call needed.": replace(
        CARD, days_silent=1, usual_gap_days=1.2, expected_purchases=75.2
    ),
    "Loyal; usually buys every 21 days, last 25 days ago: not late yet. "
    "About 2.3 purchases expected in 90 days. No call needed.": replace(
        CARD, days_silent=25, rhythm="on_time"
    ),
    "Loyal; usually buys every 21 days, last 70 days ago: overdue. "
    "About 2.3 purchases expected in 90 days. Worth a call.": replace(
        TOO_LATE, chance_if_active=0.09
    ),
    "Loyal; usually buys every 21 days, last 70 days ago: much too late. "
    "About 0.8 purchases expected in 90 days. Worth a call: buys less often. "
    "About 1,204.50 EUR to save.": replace(
        TOO_LATE, chance_if_active=0.01, expected_purchases=0.81,
        call_reasons=("overdue", "declining_frequency"), to_save=(Decimal("1204.50"), "EUR"),
    ),
    "Loyal; usually buys every 21 days, last 60 days ago: late, though such pauses happen. "
    "About 2.3 purchases expected in 90 days. No call needed.": replace(CARD, days_silent=60),
    "Loyal; usually buys every 21 days, last 60 days ago: a long pause, but not a rare one. "
    "About 2.3 purchases expected in 90 days. No call needed.": replace(
        CARD, days_silent=60, rhythm="on_time"
    ),
    "Loyal; usually buys every 21 days, last 70 days ago: overdue. "
    "About 2.3 purchases expected in 90 days. A call will hardly pay (spends less).": replace(
        TOO_LATE, chance_if_active=0.09, call_reasons=("overdue", "declining_amount"),
        to_save=(Decimal("0.02"), "EUR"),
    ),
    "Loyal; usually buys every 21 days, last 18 days ago: longer than usual for this customer. "
    "About 2.3 purchases expected in 90 days. Worth a call.": replace(
        TOO_LATE, chance_if_active=0.09, days_silent=18
    ),
    "Loyal; usually buys every 21 days, last 34 days ago: a little late. "
    "About 2.3 purchases expected in 90 days. Worth a call: buys less often, spends less.": replace(
        CARD, call_reasons=("declining_frequency", "declining_amount")
    ),
    "Loyal; usually buys every 21 days, last 34 days ago: a little late. "
    "About 2.3 purchases expected in 90 days. Complained: call.": replace(
        CARD, call_reasons=("open_complaint",)
    ),
    "Loyal; usually buys every 21 days, last 34 days ago: a little late. "
    "About 2.3 purchases expected in 90 days. Complained, spends less: call.": replace(
        CARD, call_reasons=("declining_amount", "open_complaint")
    ),
    "Loyal; usually buys every 21 days, last 400 days ago. "
    "Hardly any purchase expected in 90 days. Probably gone: a call will hardly help.": replace(
        CARD, days_silent=400, rhythm="lost", expected_purchases=0.01, chance_if_active=1e-9
    ),
    "Loyal; usually buys every 21 days, last 70 days ago: much too late. "
    "About 2.3 purchases expected in 90 days. No call: said to have left.": replace(
        TOO_LATE, chance_if_active=0.001, call_reasons=()
    ),
    "Loyal; bought once, 34 days ago: not late yet. "
    "About 0.4 purchases expected in 90 days. No call needed.": replace(ONCE, rhythm="on_time"),
    "Loyal; bought once, 1 day ago: a second one would be due. "
    "About 0.4 purchases expected in 90 days. No call needed.": replace(ONCE, days_silent=1),
    "Loyal; bought once, 34 days ago: a second one would be overdue. "
    "About 0.4 purchases expected in 90 days, a guess from little history. Worth a call.": replace(
        ONCE, rhythm="overdue", call_reasons=("overdue",), uncertain=True
    ),
    "Loyal; bought once, today: not late yet. "
    "Hardly any purchase expected in 90 days. No call needed.": replace(
        ONCE, days_silent=0, rhythm="on_time", chance_if_active=1.0, expected_purchases=0.01
    ),
    "Loyal; bought once, today: not late yet. "
    "Hardly any purchase expected in 90 days. Complained: call.": replace(
        ONCE, days_silent=0, rhythm="on_time", chance_if_active=1.0, expected_purchases=0.01,
        call_reasons=("open_complaint",),
    ),
    "Loyal; bought once, 34 days ago. Hardly any purchase expected in 90 days. "
    "A second one is unlikely: a call will hardly help.": replace(
        ONCE, rhythm="lost", expected_purchases=0.01
    ),
    "Loyal; no purchase so far.": CardFigures(stage=LOYAL, purchase_days=0),
    "Loyal; bought on 9 days, last 34 days ago. No model tells yet what to expect.":
        CardFigures(stage=LOYAL, purchase_days=9, days_silent=34),
    "Loyal; bought once, today. No model tells yet what to expect.":
        CardFigures(stage=LOYAL, purchase_days=1, days_silent=0),
}  # fmt: skip


@pytest.mark.parametrize("said", EXPECTED)
def test_a_card_is_told_in_these_words(said: str) -> None:
    assert sentence(EXPECTED[said])["en"] == said


def test_a_card_is_told_in_chinese_too() -> None:
    assert sentence(replace(TOO_LATE, to_save=(Decimal(84), "CNY")))["zh"] == (
        "忠诚；通常每21天购买一次，上次在70天前：已超期。预计90天内约购买2.3次。值得致电。"
        "约可挽回84.00 CNY。"
    )


def every_card() -> list[CardFigures]:
    """Return cards of all combinations that can be, and of some that can hardly be."""
    reasons = {
        "on_time": [each for each in SETS if "overdue" not in each],
        "due": [each for each in SETS if "overdue" not in each],
        "overdue": [(), *(each for each in SETS if "overdue" in each)],
        "lost": [()],
    }
    made = []
    for status, chances in (
        ("on_time", (0.51, 1.0)), ("due", (0.11, 0.5)), ("overdue", (0.0, 0.02, 0.1)),
        ("lost", (0.0, 0.5)),
    ):  # fmt: skip
        made += [
            CardFigures(
                stage=LOYAL, purchase_days=days, days_silent=silent, usual_gap_days=gap,
                rhythm=status, chance_if_active=chance, expected_purchases=expected,
                horizon_days=horizon, call_reasons=why, uncertain=uncertain,
                to_save=to_save,
            )
            for chance, days, silent, gap, expected, horizon, why, uncertain, to_save in
            itertools.product(
                chances, (1, 40), (0, 1, 400), (None, 1.0, 20.5), (0.0, 0.96, 12.6),
                (1, 90), reasons[status], (False, True),
                (None, (Decimal("9.5"), "EUR"), (Decimal("0.4"), "EUR")),
            )
        ]  # fmt: skip
    return made


LATE = {
    "on_time": ("on time", "not late yet", "a long pause"),
    "due": (
        "a little late",
        "due about now",
        "such pauses happen",
        "a second one would be due",
    ),
    "overdue": ("much too late", "overdue", "longer than usual"),
    "lost": (),
}
CHINESE = {
    "on_time": ("正常", "尚不算迟", "停顿较长"),
    "due": ("略迟", "临近", "偏迟"),
    "overdue": ("超期", "偏久", "反常"),
}


def check(card: CardFigures) -> None:
    en, zh = sentence(card)["en"], sentence(card)["zh"]
    for text, fault in (
        (en, r"\b(nan|None|null|inf)\b|  |\.\.|: \.|, \."),
        (zh, r"nan|None|。。|：。"),
    ):
        assert not re.search(fault, text), text
    assert not re.search(r"(?<![\d.,])1 (days|purchases)\b", en), en
    assert not re.search(r"(?<![\d.])(0|[2-9]|\d{2,}|\d+\.\d+) (day|purchase)\b(?! of)", en), en
    assert en.endswith(".")
    assert zh.endswith("。")
    silent, gap = card.days_silent, card.usual_gap_days
    assert ("today" in en, "今天" in zh) == (silent == 0,) * 2
    if silent:
        assert re.search(rf"\b{silent} days? ago", en)
        assert f"{silent}天前" in zh
    for status, words in LATE.items():
        assert any(word in en for word in words) == (card.rhythm == status and bool(words)), en
    for status, words in CHINESE.items():
        assert any(word in zh.split("预计")[0] for word in words) == (card.rhythm == status), zh
    if "much" in en or "far longer" in en:
        assert card.chance_if_active is not None
        assert card.chance_if_active <= 0.02
    if (
        re.search(r"\ba little late|\btoo late|\boverdue", en)
        and card.purchase_days > 1
        and gap is not None
    ):
        assert silent is not None
        assert silent > gap, "nobody is late before the gap that is told"
    lost, call = card.rhythm == "lost", bool(card.call_reasons)
    gone, once = lost and card.purchase_days > 1, lost and card.purchase_days == 1
    assert ("Probably gone" in en, "很可能已流失" in zh) == (gone, gone)
    assert ("unlikely" in en, "不大会复购" in zh) == (once, once)
    assert ("hardly help" in en, "难有作用" in zh) == (lost, lost)
    worth = card.to_save is None or card.to_save[0] >= 1
    pays = call and (worth or "open_complaint" in card.call_reasons)
    assert (bool(re.search(r"Worth a call|: call\.", en))) == pays
    assert ("will hardly pay" in en, "收益甚微" in zh) == (call and not pays,) * 2
    pause = re.search(r"a long pause|such pauses", en) is not None
    between = card.rhythm in ("on_time", "due") and card.purchase_days > 1
    assert pause == (between and gap is not None and silent is not None and silent > 2 * gap)
    assert ("No call" in en, "无需致电" in zh) == (not call and not lost,) * 2
    assert ("Complained" in en) == ("投诉" in zh) == ("open_complaint" in card.call_reasons)
    assert ("buys less often" in en) == ("declining_frequency" in card.call_reasons)
    assert ("spends less" in en) == ("declining_amount" in card.call_reasons)
    assert ("to save" in en) == ("挽回" in zh) == (call and worth and card.to_save is not None)
    assert ("guess" in en) == card.uncertain
    expected = card.expected_purchases
    assert expected is not None
    told = re.search(r"About ([\d.]+) purchases? expected in (\d+) days?", en)
    if told is None:
        assert "Hardly any purchase expected" in en
        assert expected < 0.05
    else:
        assert float(told[1]) == pytest.approx(
            expected, abs=(0.05 if expected < 10 else 0.5) + 1e-12
        )
        assert int(told[2]) == card.horizon_days


def test_no_combination_of_figures_is_told_in_words_that_contradict_them() -> None:
    cards = every_card()
    assert len(cards) > 10_000
    for card in cards:
        check(card)


@given(
    st.floats(0, 500), st.floats(0, 1), st.integers(1, 999), st.integers(0, 5000),
    st.floats(0.01, 3000), st.integers(1, 3650), st.sampled_from(list(LATE)),
)  # fmt: skip
def test_any_figures_are_told(
    expected: float, chance: float, days: int, silent: int, gap: float, horizon: int, status: str
) -> None:
    why = ("overdue",) if status == "overdue" else ()
    check(
        replace(
            CARD, expected_purchases=expected, chance_if_active=chance, purchase_days=days,
            days_silent=silent, usual_gap_days=gap, horizon_days=horizon, rhythm=status,
            call_reasons=why,
        )
    )  # fmt: skip


def test_stages_are_called_as_their_policy_calls_them() -> None:
    told = sentence(replace(CARD, stage={"en": "VIP (gold)", "zh": "金卡会员"}))
    assert told["en"].startswith("VIP (gold); usually buys")
    assert told["zh"].startswith("金卡会员；通常")


@pytest.mark.parametrize("alone", [True, False])
def test_cards_and_rows_of_lists_are_told_alike(alone: bool) -> None:
    expected = 2.31 if alone else {"value": 2.31, "horizon_days": 90}
    told = {
        "purchase_days": 9,
        "rhythm": {"status": "due", "usual_gap_days": 21.3, "days_silent": 34,
                   "chance_if_active": 0.21},
        "expected_purchases": expected,
        "horizon_days": 90 if alone else None,
        "call_reasons": ["declining_amount"],
        "value_to_save": {"amount": Decimal("9.50"), "currency": "EUR"},
    }  # fmt: skip
    card = replace(CARD, call_reasons=("declining_amount",), to_save=(Decimal("9.50"), "EUR"))
    assert slow_cards.sentence(LOYAL, told) == sentence(card)
    assert slow_cards.sentence(LOYAL, told, uncertain=True) == sentence(
        replace(card, uncertain=True)
    )
    without = dict.fromkeys(("rhythm", "expected_purchases", "value_to_save"))
    nothing = {**told, **without, "call_reasons": [], "days_since_last_purchase": 34}
    bare = CardFigures(stage=LOYAL, purchase_days=9, days_silent=34)
    assert slow_cards.sentence(LOYAL, nothing) == sentence(bare)
