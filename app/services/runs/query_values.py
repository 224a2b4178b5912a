"""Where the value of each variable of rules is stored, as SQL of the driver.

`c` are customers, `s` what their purchases amount to, `r` their rows of the published run.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from app.days import from_day
from app.lifecycle.facts import RECENT
from app.lifecycle.variables.definition import Term
from app.money import UNITS
from app.schemas.common.locales import territories
from app.services.customer_base import summary_columns
from app.services.runs.query_tables import Tables, Value

EVALUATED: Final = frozenset(
    {
        "last_satisfaction", "satisfied",  # the last answer before an instant is stored nowhere
        "days_in_stage",  # so is the first that was heard of somebody
        "seasonal_days_since_last_purchase",  # a policy may have a season
        "usual_gap_days", "inactivity_to_usual_gap", "r", "f", "m", "churn_probability",
        "value_tier",  # a model computes them
    }
)  # fmt: skip
"""Variables of which nothing is stored; so are all that are narrowed to some purchases."""


OF_LIMIT: Final = frozenset({"inactivity_limit_days", "inactivity_to_mean_gap"})
"""Variables that a season of the policy changes; with one they are evaluated, too."""


def is_stored(term: Term) -> bool:
    """Say whether a term can be read rather than evaluated."""
    return term.name not in EVALUATED and "transactions" not in term.needs


def _count(column: str) -> Callable[[Term, Tables], Value]:
    def count(_: Term, tables: Tables) -> Value:
        return Value(f"{tables.summary}.{column}", "whole", absent_is_zero=True)

    return count


def _since(column: str) -> Callable[[Term, Tables], Value]:
    def days(_: Term, tables: Tables) -> Value:
        return Value(f"({tables.today} - {tables.summary}.{column})", "whole")

    return days


def _gap() -> str:
    return "(s.last_purchase_on - s.life_started_on)::float8 / (s.life_purchase_days - 1)"


def _inactivity_limit(_: Term, tables: Tables) -> Value:
    rule, gap = tables.inactivity_limit, _gap()
    floor, multiple, margin = (
        tables.bind(float(each), "float8")
        for each in (rule.floor_days, rule.gap_multiple, rule.gap_margin_days)
    )
    own = f"greatest({floor}, least({multiple} * ({gap}), ({gap}) + {margin}))"
    days = f"CASE WHEN {tables.summary}.life_purchase_days > 1 THEN {own} ELSE {floor} END"
    return Value(f"(CASE WHEN s.purchase_days > 0 THEN {days} END)", "number")


def _mean_gap(_: Term, tables: Tables) -> Value:
    known = f"{tables.summary}.life_purchase_days > 1"
    return Value(f"(CASE WHEN {known} THEN {_gap()} END)", "number")


def _inactivity_to_mean_gap(_: Term, tables: Tables) -> Value:
    days = f"({tables.today} - s.last_purchase_on)::int8 * (s.life_purchase_days - 1)"
    span = "greatest(s.last_purchase_on - s.life_started_on, 1)"
    known = f"{tables.summary}.life_purchase_days > 1"
    return Value(f"(CASE WHEN {known} THEN ({days})::float8 / {span} END)", "number")


def _revenue(_: Term, tables: Tables) -> Value:
    return Value(f"{tables.summary}.revenue", "money", absent_is_zero=True)


_FIELDS = {field.name: field for field in summary_columns.FIELDS}


def _in_units(name: str) -> str:
    return summary_columns.number(_FIELDS[name])


def _mean_purchase_value(_: Term, tables: Tables) -> Value:
    days = f"{tables.summary}.purchase_days"
    worth = f"({_in_units('revenue')})::float8 / ({days}::int8 * {UNITS})"
    return Value(f"(CASE WHEN {days} > 0 THEN {worth} END)", "number")


def _amount_trend(_: Term, tables: Tables) -> Value:
    values = " + ".join(
        f"({_in_units(name)})::numeric" for name in ("last_day_value", "value_2", "value_3")
    )
    days, worth = f"{tables.summary}.purchase_days", f"({_in_units('revenue')})"
    trend = f"({values})::float8 * {days} / ({RECENT}::numeric * {worth})::float8"
    return Value(f"(CASE WHEN {days} > {RECENT} AND {worth} > 0 THEN {trend} END)", "number")


def _frequency_trend(_: Term, tables: Tables) -> Value:
    days = f"{tables.summary}.purchase_days"
    recent = f"(({days} - 1)::int8 * (s.gap_1 + s.gap_2 + s.gap_3))"
    trend = f"({RECENT} * (s.last_purchase_on - s.first_purchase_on))::float8 / {recent}"
    return Value(f"(CASE WHEN {days} > {RECENT} THEN {trend} END)", "number")


def _text(term: Term, _: Tables) -> Value:
    (column,) = term.variable.columns
    return Value(f"c.{column}", "text")


@cache
def _countries() -> str:
    return ", ".join(f"'{code}'" for code in sorted(territories()["countries"]))


def _country(_: Term, __: Tables) -> Value:
    return Value(f"(CASE WHEN c.country IN ({_countries()}) THEN c.country END)", "text")


def _days_until_contract_end(_: Term, tables: Tables) -> Value:
    return Value(f"(c.contract_ends_on - {tables.today})", "whole")


def _age(_: Term, tables: Tables) -> Value:
    today = from_day(tables.as_of.day)
    year = tables.bind(today.year, "int4")
    of_year = tables.bind(today.month * 32 + today.day, "int4")
    born = "extract(month FROM c.birth_date)::int4 * 32 + extract(day FROM c.birth_date)::int4"
    before = f"({of_year} < {born})::int4"
    return Value(f"({year} - extract(year FROM c.birth_date)::int4 - {before})", "whole")


def _days_until_birthday(_: Term, tables: Tables) -> Value:
    today = from_day(tables.as_of.day)
    month, day = (f"extract({part} FROM c.birth_date)::int4" for part in ("month", "day"))
    this, following = (
        f"(make_date({tables.bind(today.year + more, 'int4')}, {month}, 1) + ({day} - 1))"
        for more in (0, 1)
    )
    following = f"CASE WHEN {this} >= {tables.today} THEN {this} ELSE {following} END"
    known = f"c.birth_date <= {tables.today}"
    return Value(f"(CASE WHEN {known} THEN {following} - {tables.today} END)", "whole")


def _days_since_low_satisfaction(term: Term, tables: Tables) -> Value:
    return Value(f"({tables.today} - {tables.last_low_answer(term)}::date)", "whole")


def _attribute(term: Term, tables: Tables) -> Value:
    return Value(f"(c.attributes -> {tables.bind(term.parameter('name'), 'text')})", "json")


def _stage(_: Term, __: Tables) -> Value:
    return Value("c.stage", "text")


def _interactions(term: Term, tables: Tables) -> Value:
    return Value(tables.interactions(term.kinds, term.days), "whole")


def _days_since_interaction(term: Term, tables: Tables) -> Value:
    return Value(f"({tables.today} - {tables.last_interaction(term.kinds)})", "whole")


def _of_run(column: str, kind: Any) -> Callable[[Term, Tables], Value]:
    def told(_: Term, tables: Tables) -> Value:
        return Value(f"{tables.run}.{column}", kind)

    return told


def _segments(_: Term, tables: Tables) -> Value:
    return Value(f"coalesce({tables.kept}.codes, '{{}}')", "list")


VALUES: Final[Mapping[str, Callable[[Term, Tables], Value]]] = {
    "purchase_days": _count("purchase_days"),
    "life_purchase_days": _count("life_purchase_days"),
    "lives": _count("lives"),
    "tenure_days": _since("first_purchase_on"),
    "life_tenure_days": _since("life_started_on"),
    "days_since_last_purchase": _since("last_purchase_on"),
    "inactivity_limit_days": _inactivity_limit,
    "mean_gap_days": _mean_gap,
    "inactivity_to_mean_gap": _inactivity_to_mean_gap,
    "frequency_trend": _frequency_trend,
    "amount_trend": _amount_trend,
    "revenue": _revenue,
    "mean_purchase_value": _mean_purchase_value,
    "complaints_90_days": _interactions,
    "interactions": _interactions,
    "days_since_interaction": _days_since_interaction,
    "days_since_low_satisfaction": _days_since_low_satisfaction,
    "days_until_contract_end": _days_until_contract_end,
    "days_until_birthday": _days_until_birthday,
    "age_years": _age,
    "country": _country,
    **dict.fromkeys(
        (
            "kind", "preferred_language", "time_zone", "region", "city", "gender", "occupation",
            "industry", "income_band", "owner", "acquisition_channel", "source",
        ),
        _text,
    ),
    "attribute": _attribute,
    "stage": _stage,
    "churn_risk": _of_run("probability", "number"),
    "expected_purchases": _of_run("expected_purchases", "number"),
    "clv": _of_run("clv", "money"),
    "value_to_save": _of_run("value_to_save", "money"),
    "rhythm": _of_run("rhythm", "text"),
    "rfm_group": _of_run("rfm_group", "text"),
    "call_reasons": _of_run("call_reasons", "list"),
    "segments": _segments,
}  # fmt: skip
