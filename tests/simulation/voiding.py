"""Facts that are voided, twice, late, and brought back; and amounts as numbers of JSON."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from app.edge.jsonbody import loads
from app.errors import AlreadyVoided
from app.schemas.ingest.transactions import TransactionIn
from app.services.ingest import interactions, transactions
from app.services.ingest.voids import Voiding as Asked
from tests.kept import as_item
from tests.simulation.customers import Told
from tests.simulation.draws import edges, ids, lateness, places
from tests.simulation.policies import KINDS
from tests.simulation.telling import Telling, has
from tests.slow_policy import Interaction
from tests.twin import Fact


class Voiding(Telling):
    """Facts are taken out of force and come back, amid all that is told."""

    @precondition(has("facts"))
    @rule(place=places, lower=st.booleans())
    def void_transaction(self, place: int, lower: bool) -> None:
        """Void the revision in force, or a lower one, which changes nothing."""
        each, told = self.one_with("facts", place)
        name = told.names[place % len(told.names)]
        known = sorted(fact.revision for fact in told.facts if fact.name == name)
        level = told.voided.get(name, 0)
        revision = known[0] if lower else known[-1]
        asked = Asked((each, *name), None if revision == known[-1] else revision, "told", "tests")
        if revision <= level:
            with pytest.raises(AlreadyVoided):
                self.world.do(transactions.void, self.world.here, asked, now=self.now)
        else:
            answer = self.world.do(transactions.void, self.world.here, asked, now=self.now)
            counts = revision < known[-1]
            assert (answer["transaction"]["voided"] is None) == counts
            assert [warning.code for warning in answer["warnings"]] == ["superseded"] * counts
            told.voided[name] = revision
            if not counts:
                told.recorded_until = self.now
        self.touched.add(each)

    @precondition(has("voided"))
    @rule(place=places, equal=st.booleans())
    def post_what_was_voided(self, place: int, equal: bool) -> None:
        """Post it again, which changes nothing, or under a higher revision, which counts."""
        each, told = self.one_with("voided", place)
        name = sorted(told.voided)[place % len(told.voided)]
        known = [fact for fact in told.facts if fact.name == name]
        newest = max(known, key=lambda fact: fact.revision)
        if equal:
            item = TransactionIn.model_validate(as_item(each, newest))
            done = self.world.do(
                transactions.ingest, self.world.here, [item], atomic=True, now=self.now
            )
            assert [status for status, _ in done.outcomes] == ["duplicate"]
            codes = [warning.code for warning in done.warnings.of(0)]
            assert codes == ["voided"] * (newest.revision <= told.voided[name])
            self.touched.add(each)
            return
        again = Fact(
            name, newest.at, newest.amount, newest.kind, newest.refunds, newest.revision + 1
        )
        assert self.post([(each, again)]) == ["updated"]

    @precondition(has("interactions"))
    @rule(place=places)
    def void_interaction(self, place: int) -> None:
        each, told = self.one_with("interactions", place)
        name = sorted(told.interactions)[place % len(told.interactions)]
        revision, _ = told.interactions.pop(name)
        told.voided_interactions[name] = revision
        asked = Asked((each, *name), None, "told", "tests")
        self.world.do(interactions.void, self.world.here, asked, now=self.now)
        with pytest.raises(AlreadyVoided):
            self.world.do(interactions.void, self.world.here, asked, now=self.now)
        self.looked_at(each, told)

    @precondition(has("voided_interactions"))
    @rule(place=places, kind=st.sampled_from(KINDS), late=lateness, edge=edges)
    def bring_interaction_back(self, place: int, kind: str, late: int, edge: str) -> None:
        each, told = self.one_with("voided_interactions", place)
        name = sorted(told.voided_interactions)[place % len(told.voided_interactions)]
        revision = told.voided_interactions.pop(name)
        self.tell([(each, name, revision + 1, Interaction(self.instant(each, late, edge), kind))])

    @rule(each=ids, late=lateness, units=st.integers(0, 999_999), form=st.sampled_from("fEg"))
    def buy_for_a_number(self, each: str, late: int, units: int, form: str) -> None:
        """Post an amount as a number of JSON, in one of its spellings."""
        amount = Decimal(units).scaleb(-4)
        fact = Fact(self.name_of_purchase(each, awaited=False), self.instant(each, late, "noon"),
                    amount)  # fmt: skip
        item = as_item(each, fact)
        written: Any = loads(f'{{"amount": {amount:{form}}}}'.encode())
        done = self.world.do(
            transactions.ingest,
            self.world.here,
            [TransactionIn.model_validate(item | {"amount": written})],
            atomic=True,
            now=self.now,
        )
        assert [status for status, _ in done.outcomes] == ["created"]
        told: Told = self.customers.of(each, self.now)
        told.facts.append(fact)
        told.recorded_until = self.now
        self.touched.add(each)
