"""Variables of the recorded stage: for rules of other things than stages.

What the ledger records is a fact here: a record is true from its last transition on.
"""

import numpy as np

from app.lifecycle.dated import Column, Floats
from app.lifecycle.records import Inputs, Stages
from app.lifecycle.variables.definition import Term, Turning, Variable


def _stages(inputs: Inputs) -> Stages:
    assert inputs.records.stages is not None, "no stages were read"
    return inputs.records.stages


def _stage(inputs: Inputs, _: Term) -> Column:
    return _stages(inputs).stage[inputs.owner]


def _days_in_stage(inputs: Inputs, _: Term) -> Floats:
    return np.asarray(inputs.day - _stages(inputs).since_day[inputs.owner], dtype=np.float64)


ROWS = (
    Variable(
        "stage", "text", None, "stage",
        ("the stage as the ledger has recorded it; not for policies of stages",
         "账本记录的客户阶段；不可用于阶段策略"),
        ("the stage", "客户阶段"), _stage,
    ),
    Variable(
        "days_in_stage", "number", "days", "stage",
        ("days since the customer came into the recorded stage; not for policies of stages",
         "进入当前记录阶段至今的天数；不可用于阶段策略"),
        ("the time in the stage", "处于当前阶段的时间"), _days_in_stage, Turning.AGES, minimum=0,
    ),
)  # fmt: skip
