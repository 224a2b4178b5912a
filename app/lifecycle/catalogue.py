"""The catalogue of variables that the rules of a policy may name.

A variable is a function of a customer's facts up to an instant and of that instant's day, of the
profile as it is known now, or of these and a stored model. What is not known (the gap of somebody
who purchased once) fulfils no comparison.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

Type = Literal["number", "text", "boolean", "level", "any"]
Source = Literal["purchases", "money", "interactions", "profile", "model"]
Texts = tuple[str, str]
"""In English and Chinese."""

LEVELS: Final = {"value_tier": ("low", "medium", "high")}
"""The values of variables of type `level`, in ascending order."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One row of the catalogue.

    `meaning` defines it; `subject` is what sentences call it, with the places of its parameters.
    No value lies outside `minimum` and `maximum`, or besides `values`, where these are given.
    `moves` is true of what changes with time alone while no fact arrives. Such a variable only
    grows or only falls until the next fact, which is what makes the day of a move findable.
    """

    name: str
    type: Type
    unit: str | None
    source: Source
    meaning: Texts
    subject: Texts
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] | None = None
    moves: bool = False
    parameters: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        return self.unit in (_EACH, _SCORE)

    @property
    def is_always_known(self) -> bool:
        return self.unit == _EACH or self.name == "revenue"


def _number(
    name: str, unit: str, source: Source, meaning: Texts, subject: Texts, **more: Any
) -> Variable:
    """Return a number; nearly all of them are 0 or more."""
    return Variable(name, "number", unit, source, meaning, subject, **{"minimum": 0, **more})


def _computed(name: str, unit: str, meaning: Texts, subject: Texts, **more: Any) -> Variable:
    """Return a number that a stored model computes."""
    return _number(name, unit, "model", meaning, subject, needs=("money",), **more)


def _text(
    name: str, meaning: Texts, subject: Texts, values: tuple[str, ...] | None = None
) -> Variable:
    return Variable(name, "text", None, "profile", meaning, subject, values=values)


_DAYS, _EACH, _SCORE = "days", "count", "score 1-5"
_ALL: tuple[Variable, ...] = (
    _number("purchase_days", _EACH, "purchases",
            ("days with a purchase not refunded in full", "有购买且未全额退款的天数"),
            ("the number of purchase days", "购买天数")),
    _number("life_purchase_days", _EACH, "purchases",
            ("purchase days of the current life", "本期的购买天数"),
            ("the number of purchase days in the current life", "本期购买天数")),
    _number("lives", _EACH, "purchases",
            ("runs of purchases with no silence in them past the limit",
             "其间沉默未超过允许天数的购买期数"),
            ("the number of lives", "生命周期次数")),
    _number("tenure_days", _DAYS, "purchases",
            ("days since the first purchase of all lives", "首次购买至今的天数"),
            ("the time since the first purchase", "首次购买至今的时间"), moves=True),
    _number("life_tenure_days", _DAYS, "purchases",
            ("days since the first purchase of the current life", "本期首次购买至今的天数"),
            ("the time since the first purchase of the current life", "本期首次购买至今的时间"),
            moves=True),
    _number("days_silent", _DAYS, "purchases",
            ("days since the last purchase", "最近一次购买至今的天数"),
            ("the time since the last purchase", "最近一次购买至今的时间"), moves=True),
    _number("silence_limit_days", _DAYS, "purchases",
            ("the silence that the current life allows", "本期允许的沉默天数"),
            ("the silence that the current life allows", "本期允许的沉默时间")),
    _number("mean_gap_days", _DAYS, "purchases",
            ("own mean gap between purchase days of the current life", "本期购买日的平均间隔天数"),
            ("the mean gap between purchase days", "平均购买间隔")),
    _number("silence_to_mean_gap", "ratio", "purchases",
            ("silence as a multiple of the own mean gap", "沉默天数与本人平均间隔之比"),
            ("the ratio of the silence to the mean gap", "沉默时间与平均购买间隔之比"), moves=True),
    _computed("usual_gap_days", _DAYS,
              ("own mean gap, shrunk to the population's", "向总体收缩的本人平均间隔天数"),
              ("the usual gap between purchase days", "惯常购买间隔")),
    _computed("silence_to_usual_gap", "ratio",
              ("silence as a multiple of the usual gap", "沉默天数与惯常间隔之比"),
              ("the ratio of the silence to the usual gap", "沉默时间与惯常购买间隔之比"),
              moves=True),
    _number("frequency_trend", "ratio", "money",
            ("mean gap of all purchases to that of the last three: below 1, they become rarer",
             "全部购买与最近三次购买的平均间隔之比，小于1表示购买频率下降"),
            ("the ratio of recent to overall purchase frequency", "近期与总体购买频率之比")),
    _number("amount_trend", "ratio", "money",
            ("mean value of the last three purchase days to that of all: below 1, it declines",
             "最近三个购买日与全部购买日的平均金额之比，小于1表示购买金额减少"),
            ("the ratio of recent to overall purchase value", "近期与总体购买金额之比")),
    _number("revenue", "currency", "money",
            ("all purchases less all refunds", "全部购买减去全部退款"),
            ("the revenue", "累计收入"), minimum=None),
    _number("mean_purchase_value", "currency", "money",
            ("mean net value of a purchase day", "平均每购买日的净金额"),
            ("the mean value of a purchase day", "平均每购买日金额")),
    _computed("r", _SCORE, ("recency score against the cuts of the model", "按模型分档的近度评分"),
              ("the recency score", "近度评分"), minimum=1, maximum=5, moves=True),
    _computed("f", _SCORE,
              ("frequency score against the cuts of the model", "按模型分档的频度评分"),
              ("the frequency score", "频度评分"), minimum=1, maximum=5),
    _computed("m", _SCORE,
              ("monetary score against the cuts of the model", "按模型分档的额度评分"),
              ("the monetary score", "额度评分"), minimum=1, maximum=5),
    _computed("churn_probability", "probability",
              ("probability of no purchase in the next 90 days", "未来90天内不再购买的概率"),
              ("the probability of no purchase in the next 90 days", "未来90天内不再购买的概率"),
              maximum=1, moves=True),
    Variable("value_tier", "level", None, "model",
             ("value tier by 12-month CLV", "按12个月客户终身价值划分的价值等级"),
             ("the value tier", "价值等级"), moves=True, needs=("money",)),
    _number("last_satisfaction", "score", "interactions",
            ("score of the last survey; of several at one instant, the last by source and id",
             "最近一次调查的评分；同一时刻有多次时，取来源与编号最后者"),
            ("the score of the last survey", "最近一次调查的评分"), maximum=100),
    _number("complaints_90_days", _EACH, "interactions",
            ("complaints in the last 90 days", "近90天的投诉次数"),
            ("the number of complaints in the last 90 days", "近90天投诉次数"), moves=True),
    _number("interactions", _EACH, "interactions",
            ("interactions, of one kind or all, in a number of days or ever",
             "互动次数，可限定类型和天数"),
            ("the number of interactions{kind}{days}", "{days}{kind}互动次数"),
            moves=True, parameters=("kind", "days")),
    _number("days_since_interaction", _DAYS, "interactions",
            ("days since the last interaction, of one kind or all",
             "最近一次互动至今的天数，可限定类型"),
            ("the time since the last interaction{kind}", "最近一次{kind}互动至今的时间"),
            moves=True, parameters=("kind",)),
    _number("days_until_contract_end", _DAYS, "profile",
            ("days until the contract ends, negative after it", "距合同到期的天数，到期后为负"),
            ("the time until the contract ends", "距合同到期的时间"), minimum=None, moves=True),
    _text("kind", ("person or company", "个人（person）或公司（company）"),
          ("the kind of customer", "客户类型"), values=("person", "company")),
    _text("country", ("country, as ISO 3166-1 alpha-2", "国家（ISO 3166-1 二位代码）"),
          ("the country", "国家")),
    _text("region", ("region", "地区"), ("the region", "地区")),
    _text("city", ("city", "城市"), ("the city", "城市")),
    _text("gender", ("gender", "性别"), ("the gender", "性别")),
    _text("occupation", ("occupation", "职业"), ("the occupation", "职业")),
    _text("industry", ("industry", "行业"), ("the industry", "行业")),
    _text("income_band", ("income band", "收入水平"), ("the income band", "收入水平")),
    _text("owner", ("who looks after the customer", "负责该客户的人"), ("the owner", "负责人")),
    _text("acquisition_channel", ("acquisition channel", "获客渠道"),
          ("the acquisition channel", "获客渠道")),
    _text("source", ("system the profile came from", "客户资料的来源系统"),
          ("the source of the profile", "资料来源")),
    Variable("attribute", "any", None, "profile",
             ("attribute of the profile", "客户资料的自定义属性"),
             ("the attribute {name}", "自定义属性{name}"), parameters=("name",)),
)  # fmt: skip

CATALOGUE: Final = {variable.name: variable for variable in _ALL}
