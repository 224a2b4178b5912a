"""The catalogue of variables that the rules of a policy may name.

A variable is a function of a customer's facts up to an instant and of that instant's day, of the
profile as it is known now, or of these and a stored model. What is not known (the gap of somebody
who purchased once) fulfils no comparison.
"""

from dataclasses import dataclass
from typing import Final, Literal

Type = Literal["number", "text", "boolean", "level", "any"]
Source = Literal["purchases", "money", "interactions", "profile", "model"]

LEVELS: Final = {"value_tier": ("low", "medium", "high")}
"""The values of variables of type `level`, in ascending order."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One row of the catalogue.

    `moves` is true of what changes with time alone while no fact arrives. Such a variable only
    grows or only falls until the next fact, which is what makes the day of a move findable.
    """

    name: str
    type: Type
    unit: str | None
    source: Source
    en: str
    zh: str
    moves: bool = False
    parameters: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def _number(
    name: str,
    unit: str | None,
    source: Source,
    en: str,
    zh: str,
    *,
    moves: bool = False,
    parameters: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
) -> Variable:
    return Variable(name, "number", unit, source, en, zh, moves, parameters, needs)


def _text(name: str, en: str, zh: str) -> Variable:
    return Variable(name, "text", None, "profile", en, zh)


_DAYS, _EACH = "days", "count"
_ALL: tuple[Variable, ...] = (
    _number("purchase_days", _EACH, "purchases",
            "days with a purchase not refunded in full", "购买天数"),
    _number("life_purchase_days", _EACH, "purchases",
            "purchase days of the current life", "本期购买天数"),
    _number("lives", _EACH, "purchases",
            "lives begun: one, and one for each win-back", "生命周期次数"),
    _number("tenure_days", _DAYS, "purchases",
            "days since the first purchase of all lives", "距首次购买天数", moves=True),
    _number("life_tenure_days", _DAYS, "purchases",
            "days since the first purchase of the current life", "距本期首次购买天数", moves=True),
    _number("days_silent", _DAYS, "purchases",
            "days since the last purchase", "距最近购买天数", moves=True),
    _number("silence_limit_days", _DAYS, "purchases",
            "the silence that the current life allows", "允许的沉默天数"),
    _number("mean_gap_days", _DAYS, "purchases",
            "own mean gap between purchase days of the current life", "本人平均购买间隔"),
    _number("silence_to_mean_gap", "ratio", "purchases",
            "silence as a multiple of the own mean gap", "沉默天数与平均间隔之比", moves=True),
    _number("usual_gap_days", _DAYS, "model",
            "own mean gap, shrunk to the population's", "惯常购买间隔", needs=("money",)),
    _number("silence_to_usual_gap", "ratio", "model",
            "silence as a multiple of the usual gap", "沉默天数与惯常间隔之比", moves=True,
            needs=("money",)),
    _number("frequency_trend", "ratio", "money",
            "mean gap of all purchases to that of the last three: below 1, purchases become rarer",
            "购买频率趋势(小于1表示购买频率下降)"),
    _number("amount_trend", "ratio", "money",
            "mean value of the last three purchase days to that of all: below 1, they are worth "
            "less", "购买金额趋势(小于1表示购买金额减少)"),
    _number("revenue", "currency", "money", "all purchases less all refunds", "累计收入"),
    _number("mean_purchase_value", "currency", "money",
            "mean net value of a purchase day", "平均每购买日金额"),
    _number("r", "score 1-5", "model", "recency score against the cuts of the model", "近度评分",
            moves=True, needs=("money",)),
    _number("f", "score 1-5", "model", "frequency score against the cuts of the model", "频度评分",
            needs=("money",)),
    _number("m", "score 1-5", "model", "monetary score against the cuts of the model", "额度评分",
            needs=("money",)),
    _number("churn_probability", "probability", "model",
            "probability of no purchase in the next 90 days", "流失概率", moves=True,
            needs=("money",)),
    Variable("value_tier", "level", None, "model", "value tier by 12-month CLV", "价值等级",
             moves=True, needs=("money",)),
    _number("last_satisfaction", "score", "interactions",
            "score of the last survey", "最近满意度"),
    _number("complaints_90_days", _EACH, "interactions",
            "complaints in the last 90 days", "近90天投诉次数", moves=True),
    _number("interactions", _EACH, "interactions",
            "interactions", "互动次数", moves=True, parameters=("kind", "days")),
    _number("days_since_interaction", _DAYS, "interactions",
            "days since the last interaction", "距最近互动天数", moves=True, parameters=("kind",)),
    _number("days_until_contract_end", _DAYS, "profile",
            "days until the contract ends, negative after it", "距合同到期天数", moves=True),
    _text("kind", "person or company", "客户类型"),
    _text("country", "country", "国家"),
    _text("region", "region", "地区"),
    _text("city", "city", "城市"),
    _text("gender", "gender", "性别"),
    _text("occupation", "occupation", "职业"),
    _text("industry", "industry", "行业"),
    _text("income_band", "income band", "收入水平"),
    _text("owner", "who looks after the customer", "负责人"),
    _text("acquisition_channel", "acquisition channel", "获客渠道"),
    _text("source", "system the profile came from", "数据来源"),
    Variable("attribute", "any", None, "profile", "attribute of the profile", "自定义属性",
             parameters=("name",)),
)  # fmt: skip

CATALOGUE: Final = {variable.name: variable for variable in _ALL}
AGES: Final = ("tenure_days", "life_tenure_days", "days_silent", "days_since_interaction")
COMPLAINT, SURVEY = "complaint", "survey"
COMPLAINT_DAYS: Final = 90


@dataclass(frozen=True, slots=True)
class Term:
    """A variable with its parameters: `interactions` of which kind, in how many days."""

    name: str
    kind: str | None = None
    days: int | None = None
    attribute: str | None = None

    @property
    def variable(self) -> Variable:
        return CATALOGUE[self.name]

    @property
    def moves(self) -> bool:
        """Whether the value changes with time alone; a count without a window does not."""
        counts_all = self.name == "interactions" and self.days is None
        return self.variable.moves and not counts_all

    @property
    def ages(self) -> bool:
        """Whether it grows by one a day, so that two such keep their distance."""
        return self.name in AGES

    @property
    def key(self) -> str:
        """The name under which evidence and explanations show its value."""
        given = [self.kind, None if self.days is None else f"{self.days} days", self.attribute]
        said = ", ".join(part for part in given if part is not None)
        return f"{self.name}({said})" if said else self.name

    @property
    def window(self) -> tuple[str | None, int | None]:
        """The kind of interaction that is counted (None: any), and in how many days."""
        if self.name == "complaints_90_days":
            return COMPLAINT, COMPLAINT_DAYS
        return self.kind, self.days

    @property
    def kinds(self) -> frozenset[str] | None:
        """The kinds of interactions that the value depends on; None for all of them."""
        if self.name == "last_satisfaction":
            return frozenset((SURVEY,))
        kind, _ = self.window
        return None if kind is None else frozenset((kind,))

    def words(self) -> dict[str, str]:
        """Return what it means, in English and Chinese."""
        en, zh = self.variable.en, self.variable.zh
        if self.kind is not None:
            en, zh = f"{en} of kind {self.kind}", f"{zh}({self.kind})"
        if self.days is not None:
            en, zh = f"{en} in the last {self.days} days", f"近{self.days}天{zh}"
        if self.attribute is not None:
            en, zh = f"{en} {self.attribute!r}", f"{zh}「{self.attribute}」"
        return {"en": en, "zh": zh}
