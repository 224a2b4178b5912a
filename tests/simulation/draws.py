"""Small choices that lives are made of, crowded around windows and the edges of days."""

from hypothesis import strategies as st

ids = st.sampled_from(("c1", "c2", "c3"))
places = st.integers(0, 10)
"""Which of some things, taken modulo how many there are."""
lateness = st.sampled_from((0, 0, 0, 0, 1, 2, 7, 29, 30, 60, 89, 90, 91, 180, 181, 300, -1))
edges = st.sampled_from(("now", "start", "start", "after", "before", "noon", "again"))
amounts = st.sampled_from(("0", "0.0001", "5", "10.50", "12.34", "99.99"))
gaps = st.sampled_from((0, 1, 1, 2, 6, 7, 8, 29, 30, 31, 60, 89, 90, 91, 120, 180, 181, 200))
