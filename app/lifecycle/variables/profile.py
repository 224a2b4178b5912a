"""Variables of the profile, as it was valid at the instant, by all that is known now."""

import re

import numpy as np

from app.lifecycle.dated import Column, Floats, objects
from app.lifecycle.records import Inputs
from app.lifecycle.variables.definition import Term, Texts, Turning, Variable

_LARGEST = float(np.finfo(np.float64).max)


def _as_it_is(inputs: Inputs, term: Term) -> Column:
    (column,) = term.variable.columns
    return inputs.profile(column)


def _days_until(inputs: Inputs, term: Term) -> Floats:
    (column,) = term.variable.columns
    return np.asarray(inputs.profile(column).astype(np.float64) - inputs.day, dtype=np.float64)


def _years_since(inputs: Inputs, term: Term) -> Floats:
    """Return full years; who was born on a leap day has the birthday on March 1 in other years."""
    (column,) = term.variable.columns
    born = inputs.profile(column).astype(np.float64)
    known = ~np.isnan(born)
    first_year, first_of_year = _year_and_day(np.where(known, born, 0).astype(np.int64))
    year, of_year = _year_and_day(inputs.day)
    years = year - first_year - (of_year < first_of_year)
    return np.where(known, years, np.nan)


def _days_until_birthday(inputs: Inputs, term: Term) -> Floats:
    """Return the days until the next birthday, as `_years_since` has it; none before the birth."""
    (column,) = term.variable.columns
    born = inputs.profile(column).astype(np.float64)
    known = ~np.isnan(born) & (born <= inputs.day)
    dates = np.where(known, born, 0).astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    year = np.asarray(inputs.day).astype("datetime64[D]").astype("datetime64[Y]")

    def in_year(which: Column) -> Column:
        first = which.astype("datetime64[M]") + months.astype(np.int64) % 12
        into_month = (dates - months).astype(np.int64)
        return np.asarray(first.astype("datetime64[D]").astype(np.int64) + into_month)

    soon = in_year(year)
    days = np.where(soon >= inputs.day, soon, in_year(year + 1)) - inputs.day
    return np.where(known, days, np.nan)


def _year_and_day(day: Column) -> tuple[Column, Column]:
    """Return the year of each day, and month and day of the month as one number."""
    on = day.astype("datetime64[D]")
    month = on.astype("datetime64[M]")
    of_month = (on - month.astype("datetime64[D]")).astype(np.int64) + 1
    months = month.astype(np.int64)
    return months // 12, (months % 12) * 32 + of_month


def _attribute(inputs: Inputs, term: Term) -> Column:
    key = term.parameter("name")
    return objects([read_attribute(each.get(key)) for each in inputs.profile("attributes")])


def read_attribute(value: object) -> object:
    """Return what rules see of free JSON: a text, a number, a truth value, or a list's texts."""
    if isinstance(value, list):
        return tuple(each for each in value if isinstance(each, str))
    if isinstance(value, int) and abs(value) > _LARGEST:  # JSON has numbers of any length
        return _LARGEST if value > 0 else -_LARGEST
    return value if isinstance(value, (str, int, float, bool)) else None


def _text(name: str, meaning: Texts, subject: Texts, **more: object) -> Variable:
    return Variable(
        name, "text", None, "profile", meaning, subject, _as_it_is, columns=(name,), **more  # type: ignore[arg-type]
    )  # fmt: skip


ROWS = (
    Variable(
        "days_until_contract_end", "number", "days", "profile",
        ("days until the contract ends, negative after it", "距合同到期的天数，到期后为负"),
        ("the time until the contract ends", "距合同到期的时间"),
        _days_until, Turning.FALLS, columns=("contract_ends_on",),
    ),
    Variable(
        "age_years", "number", "years", "profile",
        ("full years since the birth date, in the deployment's zone; negative before it",
         "按出生日期计算的周岁，以部署时区为准；出生前为负"),
        ("the age", "年龄"),
        _years_since, Turning.GROWS, whole=True, columns=("birth_date",),
    ),
    Variable(
        "days_until_birthday", "number", "days", "profile",
        ("days until the next birthday, 0 on it; not for policies of stages",
         "距下一次生日的天数，生日当天为0；不可用于阶段策略"),
        ("the time until the birthday", "距生日的时间"),
        _days_until_birthday, Turning.FALLS, minimum=0, maximum=366, whole=True,
        columns=("birth_date",), of_lists=True,
    ),
    _text("kind", ("person or company", "个人（person）或公司（company）"),
          ("the kind of customer", "客户类型"), values=("person", "company")),
    _text("country", ("country, as ISO 3166-1 alpha-2", "国家（ISO 3166-1 二位代码）"),
          ("the country", "国家"), pattern=re.compile("[A-Z]{2}"),
          pattern_said="must be two capital letters as in ISO 3166-1, such as DE"),
    _text("preferred_language",
          ("language to speak with them, as a tag of BCP 47", "沟通语言（BCP 47 标签）"),
          ("the preferred language", "沟通语言")),
    _text("time_zone", ("time zone of the customer, of the IANA database", "客户所在时区（IANA）"),
          ("the time zone", "时区")),
    _text("region", ("region", "地区"), ("the region", "地区")),
    _text("city", ("city", "城市"), ("the city", "城市")),
    _text("gender", ("gender", "性别"), ("the gender", "性别")),
    _text("occupation", ("occupation", "职业"), ("the occupation", "职业")),
    _text("industry", ("industry", "行业"), ("the industry", "行业")),
    _text("income_band", ("income band", "收入水平"), ("the income band", "收入水平")),
    _text("owner", ("who looks after the customer", "负责该客户的人"), ("the owner", "负责人")),
    _text("acquisition_channel", ("acquisition channel", "获客渠道"),
          ("the acquisition channel", "获客渠道")),
    _text("source", ("system that told of the profile first", "最先提供客户资料的来源系统"),
          ("the source of the profile", "资料来源")),
    Variable(
        "attribute", "any", None, "profile",
        (("attribute of the profile: a text, a number, true or false, or a list, of which rules see"
         " the texts and ask whether it `contains` one"),
         "客户资料的自定义属性：文本、数字、真假值，或列表（仅看其中的文本，用 contains 比较）"),
        ("the attribute{name}", "自定义属性{name}"),
        _attribute, parameters=("name",), columns=("attributes",),
    ),
)  # fmt: skip
