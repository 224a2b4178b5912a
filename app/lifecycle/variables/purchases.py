"""Variables of the days on which a customer purchased, and of the lives that they make."""

from collections.abc import Callable

import numpy as np

from app.lifecycle.dated import Floats, Ints
from app.lifecycle.records import Columns, Inputs, inactivity_limit
from app.lifecycle.variables.definition import Term, Texts, Turning, Variable
from app.lifecycle.variables.transactions import NARROWED, purchase_days_within


def _count(column: str) -> Callable[[Inputs, Term], Floats]:
    def count(inputs: Inputs, _: Term) -> Floats:
        return np.asarray(getattr(inputs.columns, column), dtype=np.float64)

    return count


def _since(column: str) -> Callable[[Inputs, Term], Floats]:
    def days(inputs: Inputs, _: Term) -> Floats:
        return _of_buyers(inputs, inputs.day - getattr(inputs.columns, column))

    return days


def _of_buyers(inputs: Inputs, values: Floats) -> Floats:
    return np.where(inputs.columns.purchase_days > 0, values, np.nan)


def _limit(inputs: Inputs, _: Term) -> Floats:
    return _of_buyers(inputs, inactivity_limit(inputs.records.inactivity_limit, inputs.columns))


def _gaps(columns: Columns) -> tuple[Ints, Ints]:
    """Return how many gaps the current life has, and the days from its first to its last day."""
    return columns.life_purchase_days - 1, columns.last_day - columns.life_start_day


def _mean_gap(inputs: Inputs, _: Term) -> Floats:
    gaps, span = _gaps(inputs.columns)
    return np.where(gaps > 0, span / np.maximum(gaps, 1), np.nan)


def _inactivity_to_mean_gap(inputs: Inputs, _: Term) -> Floats:
    """Return multiples of the mean gap, rounded once, so that 35 days are 15 gaps of 7/3.

    Both are counted by the season, where the policy has one.
    """
    columns, season = inputs.columns, inputs.records.inactivity_limit.season
    gaps, span = _gaps(columns)
    silence = inputs.day - columns.last_day
    if season is not None:
        last, day = season.clock(columns.last_day), season.clock(inputs.day)
        span, silence = last - season.clock(columns.life_start_day), day - last
    return np.where(gaps > 0, silence * 1.0 * gaps / np.maximum(span, 1), np.nan)


def _seasonal_silence(inputs: Inputs, _: Term) -> Floats:
    """Return the days since the last purchase as the season of the policy counts them."""
    last, season = inputs.columns.last_day, inputs.records.inactivity_limit.season
    silence = inputs.day - last if season is None else season.between(last, inputs.day)
    return _of_buyers(inputs, np.asarray(silence, dtype=np.float64))


def _counted(
    name: str, meaning: Texts, subject: Texts, narrowed: Variable | None = None
) -> Variable:
    return Variable(
        name, "number", "count", "purchases", meaning, subject, _count(name),
        minimum=0, whole=True, always_known=True, narrowed=narrowed,
    )  # fmt: skip


def _aged(name: str, column: str, meaning: Texts, subject: Texts) -> Variable:
    return Variable(
        name, "number", "days", "purchases", meaning, subject, _since(column), Turning.AGES,
        minimum=0,
    )  # fmt: skip


ROWS = (
    _counted(
        "purchase_days",
        (("days with a purchase not refunded in full; with parameters, in a number of days, or with"
         " a purchase through a channel or a line of a category or product"),
         "有购买且未全额退款的天数；可限定近若干天、渠道、类目或产品"),
        ("the number of purchase days", "购买天数"),
        Variable(
            "purchase_days", "number", "count", "transactions",
            ("purchase days with a purchase that fits", "符合条件的购买天数"),
            ("the number of purchase days{category}{product}{channel}{days}",
             "{days}{category}{product}{channel}购买天数"),
            purchase_days_within, Turning.FALLS,
            minimum=0, whole=True, always_known=True, parameters=NARROWED,
        ),
    ),
    _counted(
        "life_purchase_days",
        ("purchase days of the current life", "本期的购买天数"),
        ("the number of purchase days in the current life", "本期购买天数"),
    ),
    _counted(
        "lives",
        ("runs of purchases with no inactivity in them past the limit",
         "其间沉默未超过允许天数的购买期数"),
        ("the number of lives", "生命周期次数"),
    ),
    _aged(
        "tenure_days", "first_day",
        ("days since the first purchase of all lives", "首次购买至今的天数"),
        ("the time since the first purchase", "首次购买至今的时间"),
    ),
    _aged(
        "life_tenure_days", "life_start_day",
        ("days since the first purchase of the current life", "本期首次购买至今的天数"),
        ("the time since the first purchase of the current life", "本期首次购买至今的时间"),
    ),
    _aged(
        "days_since_last_purchase", "last_day",
        ("days since the last purchase", "最近一次购买至今的天数"),
        ("the time since the last purchase", "最近一次购买至今的时间"),
    ),
    Variable(
        "seasonal_days_since_last_purchase", "number", "days", "purchases",
        (("days since the last purchase, each counting what the season of the policy says of its"
          " month; without a season, days"),
         "最近一次购买至今的天数，按策略的季节系数逐日折算；无季节时即天数"),
        ("the seasonal time since the last purchase", "最近一次购买至今的季节折算时间"),
        _seasonal_silence, Turning.GROWS, minimum=0,
    ),
    Variable(
        "inactivity_limit_days", "number", "days", "purchases",
        (("the inactivity that the current life allows, in days of the calendar; by the season of"
          " the policy, where it has one"),
         "本期允许的沉默天数（日历天数）；策略有季节时按季节折算"),
        ("the inactivity that the current life allows", "本期允许的沉默时间"),
        _limit, minimum=0,
    ),
    Variable(
        "mean_gap_days", "number", "days", "purchases",
        ("own mean gap between purchase days of the current life", "本期购买日的平均间隔天数"),
        ("the mean gap between purchase days", "平均购买间隔"),
        _mean_gap, minimum=0,
    ),
    Variable(
        "inactivity_to_mean_gap", "number", "ratio", "purchases",
        ("inactivity as a multiple of the own mean gap, both by the season of the policy",
         "沉默天数与本人平均间隔之比，均按策略的季节折算"),
        ("the ratio of the inactivity to the mean gap", "沉默时间与平均购买间隔之比"),
        _inactivity_to_mean_gap, Turning.GROWS, minimum=0,
    ),
)  # fmt: skip
