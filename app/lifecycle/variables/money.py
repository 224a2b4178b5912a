"""Variables of what a customer's purchases are worth, after refunds."""

import numpy as np

from app.lifecycle.dated import Floats
from app.lifecycle.facts import RECENT
from app.lifecycle.records import UNITS, Inputs
from app.lifecycle.variables.definition import Term, Turning, Variable
from app.lifecycle.variables.transactions import NARROWED, revenue_within


def _revenue(inputs: Inputs, _: Term) -> Floats:
    return inputs.money.revenue / UNITS


# One division each, so that what should equal a constant does.
def _mean_purchase_value(inputs: Inputs, _: Term) -> Floats:
    days, value = inputs.columns.purchase_days, inputs.money.revenue
    return np.where(days > 0, value / (np.maximum(days, 1) * UNITS), np.nan)


# With few purchase days, the last three are nearly all there are.
def _amount_trend(inputs: Inputs, _: Term) -> Floats:
    days, value = inputs.columns.purchase_days, inputs.money.revenue
    recent = inputs.money.values.sum(axis=0).astype(np.float64) * days
    trend = recent / (RECENT * np.maximum(value, 1))
    return np.where((days > RECENT) & (value > 0), trend, np.nan)


def _frequency_trend(inputs: Inputs, _: Term) -> Floats:
    columns, days = inputs.columns, inputs.columns.purchase_days
    known = days > RECENT
    of_recent = np.where(known, (days - 1) * inputs.money.gaps.sum(axis=0), 1)
    return np.where(known, RECENT * (columns.last_day - columns.first_day) / of_recent, np.nan)


ROWS = (
    Variable(
        "frequency_trend", "number", "ratio", "money",
        ("mean gap of all purchases to that of the last three: below 1, they become rarer",
         "全部购买与最近三次购买的平均间隔之比，小于1表示购买频率下降"),
        ("the ratio of recent to overall purchase frequency", "近期与总体购买频率之比"),
        _frequency_trend, minimum=0,
    ),
    Variable(
        "amount_trend", "number", "ratio", "money",
        ("mean value of the last three purchase days to that of all: below 1, it declines",
         "最近三个购买日与全部购买日的平均金额之比，小于1表示购买金额减少"),
        ("the ratio of recent to overall purchase value", "近期与总体购买金额之比"),
        _amount_trend, minimum=0,
    ),
    Variable(
        "revenue", "number", "currency", "money",
        (("what refunds leave of purchases; with parameters, of purchase days in a number of days,"
         " through a channel, or the share that lines of a category or product have in a purchase"),
         "购买金额扣除退款后的余额；可限定近若干天、渠道，或按类目、产品的订单行占比计算"),
        ("the revenue", "累计收入"),
        _revenue, minimum=0, always_known=True,
        narrowed=Variable(
            "revenue", "number", "currency", "transactions",
            ("net value of the purchases that fit", "符合条件的购买净额"),
            ("the revenue{category}{product}{channel}{days}",
             "{days}{category}{product}{channel}收入"),
            revenue_within, Turning.FALLS,
            minimum=0, always_known=True, parameters=NARROWED,
        ),
    ),
    Variable(
        "mean_purchase_value", "number", "currency", "money",
        ("mean net value of a purchase day", "平均每购买日的净金额"),
        ("the mean value of a purchase day", "平均每购买日金额"),
        _mean_purchase_value, minimum=0,
    ),
)  # fmt: skip
