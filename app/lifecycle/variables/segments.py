"""The variable of segments: what is kept of membership, for lists rather than for rules.

A rule says `{"segment": code}`, which is right at any instant.
"""

from app.lifecycle.dated import Column
from app.lifecycle.records import Inputs
from app.lifecycle.variables.definition import Term, Variable


def _kept(inputs: Inputs, term: Term) -> Column:
    return inputs.of_run(term.name)


ROWS = (
    Variable(
        "segments", "any", None, "segments",
        (("codes of the segments that the customer is kept to be in: a list, of now alone; rules"
          " name a segment instead, as {segment: code}"),
         "客户当前所属客户群的代码：列表，仅限当前；规则中请用 {segment: 代码}"),
        ("the segments", "所属客户群"), _kept, always_known=True,
    ),
)  # fmt: skip
