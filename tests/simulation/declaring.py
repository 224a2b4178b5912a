"""Kinds declared and changed between, and churn records: nobody's stage follows from either."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from app.schemas.ingest.churn_records import ChurnRecordContent
from app.schemas.interaction_kinds import KindIn
from app.services.common import interaction_kinds
from app.services.common.paging import PageRequest
from app.services.ingest import churn_records
from tests.simulation.customers import Told
from tests.simulation.draws import edges, ids, lateness, places
from tests.simulation.telling import Telling, has
from tests.slow_policy import Left

SCALES = {
    "survey": ((0, 10, 5), (1, 5, 4), (0, 100, 50), (0, 2, 1)),
    "csat": ((1, 5, 4), (0, 10, 8), (1, 3, 2)),
}
"""Scores that were told before may lie outside."""
REASONS = ("price", "service", "competitor", "unknown")


class Declaring(Telling):
    """What is declared of kinds, and why customers left."""

    @rule(kind=st.sampled_from(tuple(SCALES)), place=places,
          phase=st.sampled_from(("presale", "sale", "aftersale", "none")))  # fmt: skip
    def declare(self, kind: str, place: int, phase: str) -> None:
        """Declare a kind otherwise: versions that are stored keep what they look at."""
        chosen = SCALES[kind][place % len(SCALES[kind])]
        scale = dict(zip(("min", "max", "good_from"), chosen, strict=True))
        asked = KindIn.model_validate({"phase": phase, "scale": scale})
        self.world.do(interaction_kinds.put, kind, asked, if_match=None, now=self.now)
        self.kinds = {**self.kinds, kind: {"phase": phase, "scale": scale}}
        self.touched |= self.customers.told.keys()

    @rule(each=ids, late=lateness, edge=edges, reason=st.sampled_from(REASONS))
    def record_churn(self, each: str, late: int, edge: str, reason: str) -> None:
        name = ("default", f"r{next(self.number)}")
        self.write_record(each, name, 1, Left(self.instant(each, late, edge), reason))

    @precondition(has("records"))
    @rule(place=places, late=lateness, edge=edges, reason=st.sampled_from(REASONS))
    def revise_record(self, place: int, late: int, edge: str, reason: str) -> None:
        each, told = self.one_with("records", place)
        name = sorted(told.records)[place % len(told.records)]
        revision, _ = told.records[name]
        self.write_record(each, name, revision + 1, Left(self.instant(each, late, edge), reason))

    def write_record(self, each: str, name: tuple[str, str], revision: int, left: Left) -> None:
        source, record_id = name
        content = ChurnRecordContent(
            source=source, churn_record_id=record_id, revision=revision,
            occurred_at=left.at, reason=left.reason,
        )  # fmt: skip
        done = self.world.do(churn_records.create, self.world.here, each, content, now=self.now)
        told = self.customers.of(each, self.now)
        told.records[name] = revision, left
        told.recorded_until = self.now
        self.touched.add(each)
        warned = "not_churned" in [warning.code for warning in done["warnings"]]
        at = max([self.now, *(one.at for one in told.decisions)])
        assert warned != self.customers.life(each).has_left(at)

    def by_hand(self, each: str, told: Told) -> None:
        """Note the record that an override to a churned stage has written."""
        page = PageRequest(500, None, None, b"")
        asked = self.world.here, each, page
        rows = self.world.ask(churn_records.of_customer, *asked, include_voided=False)["items"]
        known = set(told.records)
        (new,) = [row for row in rows if (row["source"], row["churn_record_id"]) not in known]
        assert (new["source"], new["revision"]) == (churn_records.MANUAL, 1)
        name = new["source"], new["churn_record_id"]
        told.records[name] = 1, Left(new["occurred_at"], new["reason"])
