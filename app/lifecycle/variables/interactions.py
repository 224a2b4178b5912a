"""Variables of visits, calls, complaints, survey answers and other dated facts."""

import numpy as np

from app.lifecycle.dated import Floats, last_place
from app.lifecycle.records import Inputs
from app.lifecycle.variables.definition import Term, Turning, Variable

_COMPLAINT_DAYS = 90


def _last_score(inputs: Inputs, term: Term) -> Floats:
    events = inputs.interactions.of_kinds(term.kinds)
    known = ~np.isnan(events.score)
    place = last_place(events.owner[known], events.at[known], inputs.owner, inputs.at)
    return np.asarray(np.r_[events.score[known], np.nan][place], dtype=np.float64)


def _number(inputs: Inputs, term: Term) -> Floats:
    counts = inputs.interactions.of_kinds(term.kinds).counts
    after = None if term.days is None else inputs.day - term.days
    return counts.within(inputs.owner, inputs.at, after).astype(np.float64)


def _days_since(inputs: Inputs, term: Term) -> Floats:
    events = inputs.interactions.of_kinds(term.kinds)
    place = last_place(events.owner, events.at, inputs.owner, inputs.at)
    days = np.r_[events.day.astype(np.float64), np.nan]
    return np.asarray(inputs.day - days[place], dtype=np.float64)


_INTERACTIONS = Variable(
    "interactions", "number", "count", "interactions",
    ("interactions, of one kind or all, in a number of days or ever", "互动次数，可限定类型和天数"),
    ("the number of interactions{kind}{days}", "{days}{kind}互动次数"),
    _number, Turning.FALLS,
    minimum=0, whole=True, always_known=True, parameters=("kind", "days"),
)  # fmt: skip

ROWS = (
    Variable(
        "last_satisfaction", "number", "score", "interactions",
        ("score of the last survey; of several at one instant, the last by source and id",
         "最近一次调查的评分；同一时刻有多次时，取来源与编号最后者"),
        ("the score of the last survey", "最近一次调查的评分"),
        _last_score, minimum=0, maximum=100, needs=("answers",), kinds=("survey",),
    ),
    Variable(
        "complaints_90_days", "number", "count", "interactions",
        ("complaints in the last 90 days: `interactions` of kind complaint in 90 days",
         "近90天的投诉次数，即近90天内 complaint 类的 interactions"),
        ("the number of complaints in the last 90 days", "近90天投诉次数"),
        _number, Turning.FALLS, minimum=0, whole=True, always_known=True,
        alias_of=Term.of(_INTERACTIONS, {"kind": "complaint", "days": _COMPLAINT_DAYS}),
    ),
    _INTERACTIONS,
    Variable(
        "days_since_interaction", "number", "days", "interactions",
        ("days since the last interaction, of one kind or all",
         "最近一次互动至今的天数，可限定类型"),
        ("the time since the last interaction{kind}", "最近一次{kind}互动至今的时间"),
        _days_since, Turning.AGES, minimum=0, parameters=("kind",),
    ),
)  # fmt: skip
