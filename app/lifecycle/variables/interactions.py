"""Variables of visits, calls, complaints, survey answers and other dated facts."""

import numpy as np

from app.lifecycle.dated import Bools, Column, Floats, last_place
from app.lifecycle.records import Inputs
from app.lifecycle.variables.definition import Term, Turning, Variable

_COMPLAINT_DAYS = 90


def _last_satisfaction(inputs: Inputs, term: Term) -> Floats:
    kind, score = _last_answer(inputs, term)
    found = score if term.declared is None else np.full(len(score), np.nan)
    for word, scale in term.declared or ():
        if scale is not None:
            own = kind == word
            found[own] = scale.share(score[own])
    return found


def _satisfied(inputs: Inputs, term: Term) -> Column:
    kind, score = _last_answer(inputs, term)
    found = np.full(len(score), None, dtype=object)
    for word, scale in term.declared or ():
        if scale is not None:
            own = kind == word
            found[own] = scale.is_good(score[own]).tolist()
    return found


def _days_since_low(inputs: Inputs, term: Term) -> Floats:
    """Return the days since the last answer, of those whom it found dissatisfied."""
    events = inputs.interactions.of_kinds(term.kinds).answers
    place = last_place(events.owner, events.at, inputs.owner, inputs.at)
    since = inputs.day - np.r_[events.day.astype(np.float64), np.nan][place]
    low = _map_is(_satisfied(inputs, term), False)
    return np.where(low, since, np.nan)


def _map_is(column: Column, value: object) -> Bools:
    return np.fromiter((each is value for each in column), np.bool_, len(column))


def _last_answer(inputs: Inputs, term: Term) -> tuple[Column, Floats]:
    """Return kind and score of the last answer of each; None and NaN without any."""
    events = inputs.interactions.of_kinds(term.kinds).answers
    place = last_place(events.owner, events.at, inputs.owner, inputs.at)
    kind = np.append(events.kind, np.array([None], dtype=object))[place]
    return kind, np.asarray(np.r_[events.score, np.nan][place], dtype=np.float64)


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
    ("interactions, of one kind, of one phase or all, in a number of days or ever",
     "互动次数，可限定类型、阶段和天数"),
    ("the number of interactions{kind}{phase}{days}", "{days}{phase}{kind}互动次数"),
    _number, Turning.FALLS,
    minimum=0, whole=True, always_known=True, parameters=("kind", "phase", "days"),
)  # fmt: skip

ROWS = (
    Variable(
        "last_satisfaction", "number", "share of scale", "interactions",
        ("last answer to a survey, on the scale of its kind; of several, the last by source and id",
         "最近一次调查在其类型量表上的评分，0为最差，1为最好；同一时刻有多次时，取来源与编号最后者"),
        ("the satisfaction of the last survey{kind}", "最近一次{kind}调查的满意度"),
        _last_satisfaction, minimum=0, maximum=1, needs=("answers",), kinds=("survey",),
        of_surveys=True, parameters=("kind",),
    ),
    Variable(
        "satisfied", "boolean", None, "interactions",
        ("whether the last answer to a survey is good, by the scale of its kind",
         "最近一次调查的评分按其类型量表是否满意"),
        ("the answer to the last survey{kind} being good", "最近一次{kind}调查为满意"),
        _satisfied, needs=("answers",), kinds=("survey",), of_surveys=True, parameters=("kind",),
    ),
    Variable(
        "days_since_low_satisfaction", "number", "days", "interactions",
        (("days since the last answer to a survey, where that is not good by the scale of its kind;"
          " not for policies of stages"),
         "最近一次调查不满意时，该次调查至今的天数；不可用于阶段策略"),
        ("the time since a survey found them dissatisfied", "最近一次不满意调查至今的时间"),
        _days_since_low, Turning.AGES, minimum=0, needs=("answers",), kinds=("survey",),
        of_surveys=True, of_lists=True,
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
        ("days since the last interaction, of one kind, of one phase or all",
         "最近一次互动至今的天数，可限定类型和阶段"),
        ("the time since the last interaction{kind}{phase}", "最近一次{phase}{kind}互动至今的时间"),
        _days_since, Turning.AGES, minimum=0, parameters=("kind", "phase"),
    ),
)  # fmt: skip
