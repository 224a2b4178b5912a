"""What reports are called in words: their titles, columns, ways to part them, and notes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.lifecycle.policy import Names
from app.lifecycle.presets.parts import text


@dataclass(frozen=True, slots=True)
class Column:
    """A column: what its cells are (`type`), in which unit, and what it is called."""

    type: str
    unit: str | None
    title: Names


def _count(en: str, zh: str, unit: str = "customers") -> Column:
    return Column("count", unit, text(en, zh))


def _rate(en: str, zh: str) -> Column:
    return Column("rate", "share", text(en, zh))


def _money(en: str, zh: str) -> Column:
    return Column("money", "currency", text(en, zh))


def _number(en: str, zh: str, unit: str) -> Column:
    return Column("number", unit, text(en, zh))


def _code(en: str, zh: str) -> Column:
    return Column("code", None, text(en, zh))


def _text(en: str, zh: str) -> Column:
    return Column("text", None, text(en, zh))


COLUMNS: Final[Mapping[str, Column]] = {
    "branch": _code("Branch of reasons", "原因类别"),
    "campaign": _text("Campaign", "营销活动"),
    "channel": _text("Channel", "渠道"),
    "cohort": Column("month", None, text("Month of the first purchase", "首次购买月份")),
    "competitor": _text("Competitor", "竞争对手"),
    "country": _text("Country", "国家或地区"),
    "customer_id": _text("Customer", "客户"),
    "customer_kind": _code("Person or company", "个人或企业"),
    "industry": _text("Industry", "行业"),
    "kind": _code("Kind of interaction", "互动类型"),
    "month": Column("month", None, text("Month", "月份")),
    "outcome": _code("Outcome", "结果"),
    "owner": _text("Owner", "负责人"),
    "phase": _code("Phase", "销售阶段"),
    "purchase_days_before": _code("Purchase days before the silence", "沉默前购买天数"),
    "reason": _code("Reason", "流失原因"),
    "rfm_group": _code("RFM group", "RFM分组"),
    "segment": _code("Segment", "客户群"),
    "source": _text("Source", "数据来源"),
    "stage": _code("Stage", "阶段"),
    "value_tier": _code("Tier of lifetime value", "终身价值档次"),
    "from_stage": _code("From stage", "原阶段"),
    "to_stage": _code("To stage", "现阶段"),
    "change": _code("Change", "变化"),
    "since": Column("day", None, text("Since", "起始日期")),
    "moved_on": Column("day", None, text("Day of the last transition", "最近迁移日期")),
    "month_number": _number("Months since the first purchase", "首购后月数", "months"),
    "silent_days": _number("Days of silence", "沉默天数", "days"),
    "top_percent": _number("Best customers, percent of all buyers", "头部客户占比（%）", "percent"),
    "days": _number("Days so far", "已历天数", "days"),
    "median_days": _number("Median days to the next stage", "到下一阶段天数中位数", "days"),
    "median_days_to_purchase": _number(
        "Median days to the first purchase", "首购所需天数中位数", "days"
    ),
    "median_hours_to_close": _number(
        "Median hours until a complaint is solved", "投诉解决小时数中位数", "hours"
    ),
    "customers": _count("Customers", "客户数"),
    "prospects": _count("Prospects", "潜在客户数"),
    "buyers": _count("Customers who purchased", "购买客户数"),
    "open": _count("Still open", "尚未转化"),
    "left": _count("Left before", "转化前流失"),
    "first_year_known": _count("Customers whose first year is over", "首年已满客户数"),
    "silences": _count("Silences", "沉默次数", "silences"),
    "open_90": _count("Not known yet, 90 days", "90天内结果未知", "silences"),
    "open_180": _count("Not known yet, 180 days", "180天内结果未知", "silences"),
    "departures": _count("Departures", "流失次数", "departures"),
    "win_backs": _count("Win-backs", "挽回次数", "win-backs"),
    "interactions": _count("Interactions", "互动次数", "interactions"),
    "complaints": _count("Complaints", "投诉数", "interactions"),
    "share": _rate("Share", "占比"),
    "reached": _rate("Share that came so far", "到达率"),
    "converted": _rate("Went on to the next stage", "转化率"),
    "retained": _rate("Purchased in the month", "留存率"),
    "bought_within_90": _rate("Purchased within 90 days more", "其后90天内购买率"),
    "bought_within_180": _rate("Purchased within 180 days more", "其后180天内购买率"),
    "churned": _rate("Churned", "流失率"),
    "won_back": _rate("Won back", "挽回率"),
    "repurchased": _rate("Purchased on a second day", "复购率"),
    "solved": _rate("Complaints solved", "投诉解决率"),
    "revenue": _money("Revenue", "收入"),
    "clv": _money("Lifetime value", "终身价值"),
    "clv_per_customer": _money("Lifetime value per customer", "人均终身价值"),
    "revenue_before": _money("Revenue of the year up to the first day", "首日前一年收入"),
    "revenue_after": _money("Revenue of the year up to the last day", "末日前一年收入"),
    "revenue_change": _money("Change of revenue", "收入变化"),
    "first_year_revenue": _money("Revenue of first years", "首年收入"),
    "first_year_value": _money("First-year value per customer", "人均首年价值"),
    "revenue_share": Column("share", "share", text("Share of revenue", "收入占比")),
}
"""By name; a name means the same in each report."""

NOTES: Final[Mapping[str, Names]] = {
    "wilson": text("Intervals of shares are Wilson's, 95 %.", "比率的区间为95%威尔逊区间。"),
    "none_left_out": text("Rows that would count nobody are left out.", "计数为零的行不列出。"),
    "stages_recorded_until": text(
        "Transitions by silence stand in the ledger up to the last scoring run; those since then "
        "follow with the next one.",
        "因沉默产生的迁移记录到最近一次评分运行为止；其后的将在下次运行时记入。",
    ),
    "profile_of_now": text(
        "Customers are parted by what their profiles say now.", "按客户当前资料分组。"
    ),
    "segments_overlap": text(
        "Segments are those that customers were kept to be in at the end of the period. Somebody "
        "may be in several: rows add up to more than the totals.",
        "客户群以期末留存的归属为准；同一客户可属于多个客户群，各行之和可大于合计。",
    ),
    "month_running": text(
        "The last month is not over at `as_of`.", "截至 `as_of`，最后一个月尚未结束。"
    ),
    "days_not_events": text(
        "Where customers stood on the two days: who left and came back in between has stayed.",
        "仅比较两日所处阶段：其间离开又返回者视为未变。",
    ),
    "median_of_those_who_went_on": text(
        "Medians are of those who went on; those still open are counted by themselves.",
        "中位数仅含已转化者；尚未转化者单独计数。",
    ),
    "silences_counted": text(
        "A customer counts once for each silence that lasted so long within the period. Shares are "
        "of silences whose further days are over at `as_of`.",
        "客户在期间内每次沉默达到该天数各计一次；比率仅含截至 `as_of` 观察期已满者。",
    ),
    "churned_of_customers_at_start": text(
        "The churn rate of a month is of those who were customers when it began.",
        "月流失率以月初在册客户为分母。",
    ),
    "churned_of_customers_in_period": text(
        "The churn rate is of those who were customers when the period began or became so in it.",
        "流失率以期初在册及期间新增客户为分母。",
    ),
    "records_may_be_missing": text(
        "Departures without a churn record have the reason `not_recorded`.",
        "无流失记录者原因为 `not_recorded`。",
    ),
    "clv_of_run": text(
        "Lifetime value, RFM group and tier are of the published run; customers since then have "
        "none.",
        "终身价值、RFM分组与档次取自已发布的评分运行；其后新增客户无此数据。",
    ),
    "no_clv": text(
        "There is no run at or before `as_of`: lifetime values are not told.",
        "截至 `as_of` 无评分运行，终身价值未列出。",
    ),
    "solved_when_told": text(
        "Hours run from when a complaint happened to when this service was told that it is solved, "
        "of those told before as open.",
        "小时数自投诉发生起至本服务获知已解决为止，仅含此前以未解决状态记录者。",
    ),
    "first_1000": text("The first 1,000 alone are listed.", "仅列出前1000条。"),
}

OTHER: Final[Mapping[str, Names]] = {
    "stayed": text("Stayed", "未变"),
    "moved": text("Moved to another stage", "阶段变化"),
    "renamed": text("The stage was renamed", "阶段改名"),
    "new": text("New", "新客户"),
    "person": text("Person", "个人"),
    "company": text("Company", "企业"),
    "internal": text("Within the business", "内部原因"),
    "external": text("Outside of it", "外部原因"),
    "not_recorded": text("Not recorded", "未记录"),
    "unknown": text("Unknown", "原因不明"),
    "presale": text("Before the sale", "售前"),
    "sale": text("Sale", "售中"),
    "aftersale": text("After the sale", "售后"),
    "none": text("None", "无"),
    "high": text("High", "高"),
    "medium": text("Medium", "中"),
    "low": text("Low", "低"),
    "1": text("1", "1天"),
    "2": text("2", "2天"),
    "3_to_4": text("3 to 4", "3至4天"),
    "5_or_more": text("5 or more", "5天及以上"),
}
"""Codes that no other registry names."""
