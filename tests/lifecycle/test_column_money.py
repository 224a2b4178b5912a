"""What purchases are worth through time, for many customers at once, is what it is of each."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.lifecycle import column_money
from app.lifecycle.facts import EMPTY
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.money import MonetaryState, replay
from app.lifecycle.purchases import Fact
from app.lifecycle.steps import Worth
from app.lifecycle.summary_columns import NO_MORE, SummaryColumns
from tests.lifecycle.test_column_fold import as_columns, many, purchases, slowly

LIMIT = InactivityLimit(30, 2, 10)


def rows(worth: Worth) -> list[tuple[object, ...]]:
    money = worth.money
    columns = (worth.owner, worth.at, money.revenue, money.first_day_value, money.paid_days)
    numbers = zip(*(each.tolist() for each in columns), strict=True)
    recent = zip(money.gaps.T.tolist(), money.values.T.tolist(), strict=True)
    return [(*row, *lists) for row, lists in zip(numbers, recent, strict=True)]


def slow_rows(found: list[list[MonetaryState]]) -> list[tuple[object, ...]]:
    bound = 2**62

    def padded(last: tuple[int, ...]) -> list[int]:
        return [min(each, bound) for each in (*last, 0, 0, 0)[:3]]

    return [
        (owner, state.at, min(state.revenue, bound), min(state.first_day_value, bound),
         state.paid_days, padded(state.gaps), padded(state.values))
        for owner, own in enumerate(found) for state in own
    ]  # fmt: skip


@given(st.lists(purchases(), max_size=5), st.randoms(use_true_random=False))
@many
def test_it_follows_as_each_would_from_anywhere(
    facts: list[list[Fact]], rng: random.Random
) -> None:
    cuts = [rng.choice((0, rng.randint(0, len(own)))) for own in facts]
    earlier = [own[:cut] for own, cut in zip(facts, cuts, strict=True)]
    later = [own[cut:] for own, cut in zip(facts, cuts, strict=True)]
    before = SummaryColumns.of(slowly([EMPTY] * len(facts), earlier, LIMIT)[0])
    whole = [replay(own, until=NO_MORE) for own in facts]
    found = column_money.follow(before, as_columns(later, rng))
    since = [{fact.at for fact in own} for own in later]
    assert rows(found) == slow_rows(
        [[each for each in own if each.at in new] for own, new in zip(whole, since, strict=True)]
    )
    begun = np.array([owner for owner, own in enumerate(earlier) if own], dtype=np.int64)
    ends = [[replay(own, until=NO_MORE)[-1]] if own else [] for own in earlier]
    assert rows(column_money.standing(before, begun, before.facts_until[begun])) == slow_rows(ends)
