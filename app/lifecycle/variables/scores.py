"""Variables of the published run: for rules of other things than stages.

They are what that run found and kept, and change with the next one alone.
"""

from app.lifecycle.dated import Column
from app.lifecycle.records import Inputs
from app.lifecycle.variables.definition import Term, Texts, Type, Variable

RHYTHMS = ("on_time", "due", "overdue", "lost")


def _of_run(inputs: Inputs, term: Term) -> Column:
    return inputs.of_run(term.name)


def _row(
    name: str, type_: Type, unit: str | None, meaning: Texts, subject: Texts, **more: object
) -> Variable:
    said = f"{meaning[0]}, by the published run", f"{meaning[1]}（以已发布的评分批次为准）"
    return Variable(name, type_, unit, "scores", said, subject, _of_run, **more)  # type: ignore[arg-type]


ROWS = (
    _row(
        "churn_risk", "number", "probability",
        ("probability of no purchase within the horizon", "预测期内不再购买的概率"),
        ("the churn risk", "流失风险"), minimum=0, maximum=1,
    ),
    _row(
        "expected_purchases", "number", "count",
        ("expected purchase days within the horizon", "预测期内的预期购买天数"),
        ("the expected number of purchase days", "预期购买天数"), minimum=0,
    ),
    _row(
        "clv", "number", "currency",
        ("customer lifetime value", "客户终身价值"),
        ("the lifetime value", "客户终身价值"),
    ),
    _row(
        "value_to_save", "number", "currency",
        ("what silence has cost of the lifetime value, times the chance of a purchase in a year",
         "沉默使客户终身价值减少的部分，乘以一年内再次购买的概率"),
        ("the value to save", "可挽回价值"),
    ),
    _row(
        "rhythm", "text", None,
        ("where the customer stands against the own usual gap", "客户相对自身惯常购买间隔的状态"),
        ("the rhythm", "购买节奏"), values=RHYTHMS,
    ),
    _row(
        "rfm_group", "text", None,
        ("group by R and FM", "按 R 与 FM 划分的客户群"),
        ("the RFM group", "RFM 客户群"),
    ),
    _row(
        "call_reasons", "any", None,
        ("why to call: a list, of which rules ask whether it `contains` one",
         "联系客户的原因：列表，用 contains 比较"),
        ("the reasons to call", "联系原因"),
    ),
)  # fmt: skip
