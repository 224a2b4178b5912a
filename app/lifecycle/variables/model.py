"""Variables that a stored model computes; the functions are with those who load models."""

from app.lifecycle.dated import Floats
from app.lifecycle.records import Inputs
from app.lifecycle.variables.definition import Term, Turning, Variable

TIERS = ("low", "medium", "high")


def _computed(inputs: Inputs, term: Term) -> Floats:
    return inputs.of_model(term.name)


def _score(name: str, en: str, zh: str, turning: Turning = Turning.STILL) -> Variable:
    return Variable(
        name, "number", "score 1-5", "model",
        (f"{en} score against the cuts of the model", f"按模型分档的{zh}评分"),
        (f"the {en} score", f"{zh}评分"),
        _computed, turning, minimum=1, maximum=5, whole=True, needs=("model", "money"),
    )  # fmt: skip


ROWS = (
    Variable(
        "usual_gap_days", "number", "days", "model",
        ("own mean gap, shrunk to the population's", "向总体收缩的本人平均间隔天数"),
        ("the usual gap between purchase days", "惯常购买间隔"),
        _computed, minimum=0, needs=("model", "money"),
    ),
    Variable(
        "inactivity_to_usual_gap", "number", "ratio", "model",
        ("inactivity as a multiple of the usual gap", "沉默天数与惯常间隔之比"),
        ("the ratio of the inactivity to the usual gap", "沉默时间与惯常购买间隔之比"),
        _computed, Turning.GROWS, minimum=0, needs=("model", "money"),
    ),
    _score("r", "recency", "近度", Turning.FALLS),
    _score("f", "frequency", "频度"),
    _score("m", "monetary", "额度"),
    Variable(
        "churn_probability", "number", "probability", "model",
        ("probability of no purchase within the horizon of the model",
         "模型预测期内不再购买的概率"),
        ("the probability of no purchase within the horizon of the model",
         "模型预测期内不再购买的概率"),
        _computed, Turning.GROWS, minimum=0, maximum=1, needs=("model", "money"),
    ),
    Variable(
        "value_tier", "level", None, "model",
        ("value tier by 12-month CLV", "按12个月客户终身价值划分的价值等级"),
        ("the value tier", "价值等级"),
        _computed, Turning.FALLS, levels=TIERS, needs=("model", "money"),
        lies_between=False,  # a day may be paid before the first of its purchases is of anything
    ),
)  # fmt: skip
