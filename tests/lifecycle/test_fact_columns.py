"""Facts as columns and as objects are the same facts."""

from hypothesis import given
from hypothesis import strategies as st

from app.lifecycle.fact_columns import FactColumns
from app.lifecycle.purchases import FREE, Fact

_KEYS = st.tuples(st.sampled_from("ab"), st.text("12", max_size=2))
_FACTS = st.builds(
    Fact,
    at=st.integers(-(2**52), 2**52),
    day=st.integers(-700_000, 3_000_000),
    value=st.integers(0, 10**18),
    key=_KEYS,
    refunds=st.none() | st.just(FREE) | _KEYS,
    amount=st.integers(0, 10**18),
    currency=st.sampled_from(["EUR", "CNY"]),
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=2), st.lists(_FACTS, max_size=4)))
def test_facts_come_back_from_columns_as_they_were(facts: dict[str, list[Fact]]) -> None:
    columns = FactColumns.of(facts)
    assert columns.facts() == facts
    assert len(columns) == sum(map(len, facts.values()))
