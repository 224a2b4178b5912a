"""The season of a deployment: learnt with a model, kept in it, and told."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.days import AsOf
from app.scoring.purchases import season_learning
from app.scoring.purchases.registry import MODELS
from app.seasons import Season
from app.services.customer_base.purchase_log import Log
from app.services.models import spend_fitting
from app.services.models.model_documents import FittedSeason

DAYS_PER_UNIT = {"day": 1.0, "week": 7.0}


@dataclass(frozen=True)
class Found:
    """A model of purchases, in the time of a season where there is one, as documents."""

    process: dict[str, Any]
    season: Season | None
    document: dict[str, Any] | None


def learn(plain: dict[str, Any], time_unit: str, log: Log, as_of: AsOf) -> Found:
    """Return the model of purchases in the season that the log has, if it has one.

    `plain` is the model in plain time; where that is a prior, nothing is learnt.
    """
    if plain["status"] == "fallback":
        return Found(plain, None, None)
    learnt = season_learning.learn(
        log, MODELS[plain["kind"]], as_of=as_of.day, unit=DAYS_PER_UNIT[time_unit]
    )
    document = {**learnt.as_dict(), "plain": None if learnt.season is None else plain}
    if learnt.model is None:
        return Found(plain, None, document)
    process = {"kind": plain["kind"], **spend_fitting.described(learnt.model)}
    return Found(process, learnt.season, document)


_WORDS = {
    "seasonal": {
        "en": "Customers buy fastest in {month}, {most:.1f} times as fast as in the mean month. "
        "Purchases, P(alive) and lifetime value are counted by these months, learnt from {days} "
        "days.",
        "zh": "客户在{month_zh}购买最快，约为平均月份的{most:.1f}倍；购买次数、存活概率和客户终身"
        "价值均按各月份计算，依据{days}天的历史。",
    },
    "no_season": {
        "en": "Over {days} days, the months differ by no more than chance: all count alike.",
        "zh": "在{days}天的历史中，各月份的差异未超出偶然范围：所有月份一视同仁。",
    },
    "too_little_history": {
        "en": "{days} days of history are too few to tell a season from what happened once; it "
        "takes about {least}.",
        "zh": "{days}天的历史不足以区分季节性与一次性事件；约需{least}天。",
    },
}
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December")  # fmt: skip


def answer(found: FittedSeason | None) -> dict[str, Any] | None:
    """Return a season as the API tells it; None for models of before any were looked for."""
    if found is None:
        return None
    told = [month.factor for month in found.months or ()]
    at = int(np.argmax(told)) if told else 0
    values = {
        "most": max(told, default=1.0),
        "month": _MONTHS[at],
        "month_zh": f"{at + 1}月",
        "days": found.history_days,
        "least": season_learning.LEAST_DAYS,
    }
    said = {name: text.format(**values) for name, text in _WORDS[found.status].items()}
    return {
        "status": found.status,
        "statement": said,
        "history_days": found.history_days,
        "support": found.support,
        "factors": told if found.status == "seasonal" else None,
        "months": None
        if found.months is None
        else [
            {"month": number, **month.model_dump()}
            for number, month in enumerate(found.months, start=1)
        ],
    }
