"""Random lives of some customers, with all that happens to them: every answer is the truth.

The truth is worked out from all that was told, by the slow policy and the brute-force twin, which
know nothing of how the service does it.
"""

import random
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from app.errors import InvalidTransition, NotFound
from app.lifecycle.presets import PRESETS
from app.schemas.models.models import ModelRequest, RunRequest
from app.schemas.policies.policies import ActivationRequest, PolicyDocument
from app.schemas.stages.stages import OverrideRequest
from app.services.common import deployment_settings as stored_settings
from app.services.ingest import churn_records
from app.services.models import model_store
from app.services.policy_changes import activations, previews, versions
from app.services.runs import runs
from app.services.stages import manual_transitions
from tests import slow_profile
from tests.kept import store_model
from tests.simulation import checks, expected, scoring
from tests.simulation.customers import role
from tests.simulation.declaring import Declaring
from tests.simulation.draws import gaps, places
from tests.simulation.policies import Choice, choices, described, renamed
from tests.simulation.telling import has
from tests.simulation.voiding import Voiding
from tests.simulation.world import World
from tests.slow_policy import Decision
from tests.twin import MICROSECOND

SEEN_AGAIN = 0.25
"""Of the steps after a run, how many look at its lists again."""
_names = count()


class Lives(Voiding, Declaring):
    """Some customers of one deployment, for some hundred days."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.stored: dict[int, Any] = {
            n: described(each) for n, each in enumerate(PRESETS.values(), start=1)
        }
        self.copied = dict.fromkeys(self.stored, self.kinds)
        """What was declared of kinds when a version was stored."""
        self.published: expected.Run | None = None
        self.is_new = False
        self.rng = random.Random(0)

    @initialize(seed=st.integers(0, 2**16), fitted=st.booleans())
    def begin(self, seed: int, fitted: bool) -> None:
        self.rng = random.Random(seed)
        if not fitted:
            self.world.do(store_model, f"simulated_{next(_names)}")

    # Decisions by hand.

    @precondition(has("created_at"))
    @rule(place=places, stage=places, pin=st.sampled_from((None, None, 1, 7, 30, 200)))
    def decide(self, place: int, stage: int, pin: int | None) -> None:
        each, told = self.one_with("created_at", place)
        stages = [one["code"] for one in self.customers.timeline.current.document["stages"]]
        to = stages[stage % len(stages)]
        until = None if pin is None else self.now + timedelta(days=pin)
        asked = OverrideRequest(stage=to, reason="competitor", until=until)
        where = {"if_match": None, "now": self.now, "by": "sim"}
        before = self.customers.life(each).stage(self.latest(each))
        document = self.customers.timeline.current.document
        allowed = document.get("transitions")
        if to == before and pin is None and role(document, to) == "churned":
            at = self.world.do(churn_records.override_stage, self.world.here, each, asked, **where)
            told.recorded_until = at
            self.by_hand(each, told)
            self.touched.add(each)
            return
        if (to == before and pin is None) or (
            to != before and allowed is not None and to not in allowed.get(before, ())
        ):
            with pytest.raises(InvalidTransition):
                self.world.do(churn_records.override_stage, self.world.here, each, asked, **where)
            return
        at = self.world.do(churn_records.override_stage, self.world.here, each, asked, **where)
        told.decisions.append(Decision(at, to, until))
        told.recorded_until = at
        if role(document, to) == "churned":
            self.by_hand(each, told)
        self.touched.add(each)

    def latest(self, each: str) -> datetime:
        """Return the instant of the last decision, if the clock is behind it."""
        return max([self.now, *(one.at for one in self.customers.told[each].decisions)])

    @precondition(has("decisions"))
    @rule(place=places)
    def unpin(self, place: int) -> None:
        each, told = self.one_with("decisions", place)
        where = {"if_match": None, "now": self.now, "by": "sim"}
        pinned = self.customers.life(each).pinned(self.latest(each))
        if pinned is None:
            with pytest.raises(NotFound):
                self.world.do(manual_transitions.remove, self.world.here, each, **where)
            return
        at = self.world.do(manual_transitions.remove, self.world.here, each, **where)
        told.decisions.append(Decision(at, pinned.stage, at))
        told.recorded_until = at
        self.touched.add(each)

    # Time, runs, models and policies.

    @rule(days=gaps, seconds=st.sampled_from((0, 1, 3600, 43_200)))
    def pass_time(self, days: int, seconds: int) -> None:
        self.world.pass_time(timedelta(days=days, seconds=seconds))

    @precondition(has("created_at"))
    @rule(ago=st.sampled_from((None, None, None, 1, 30, 100)))
    def run(self, ago: int | None) -> None:
        at = self.now - timedelta(days=ago or 0)
        asked = RunRequest(as_of=None if ago is None else at.isoformat())
        result = self.world.operate(runs.submit, self.world.here, asked)
        assert result["customers"] == len(self.customers.told)
        for each, told in self.customers.told.items():
            told.recorded_until = max(told.recorded_until, self.now)
            self.touched.add(each)
        assert result["published"] == (self.published is None or self.published.as_of <= at)
        if result["published"]:
            scorer = self.world.ask(scoring.read, result["model_id"])
            self.published = expected.Run.of(self.customers, scorer, result, at)
            self.is_new = True

    @precondition(has("created_at"))
    @rule(activate=st.booleans())
    def fit(self, activate: bool) -> None:
        asked = ModelRequest(activate=activate)
        self.world.operate(model_store.submit, self.world.here, asked)

    @rule(choice=choices)
    def activate(self, choice: Choice) -> None:
        self.put_in_force(choice.document())

    @rule(seed=st.integers(0, 2**16))
    def rename(self, seed: int) -> None:
        """Put a policy in force that calls stages of the one in force otherwise."""
        document = self.customers.timeline.current.document
        written = {name: part for name, part in document.items() if name != "interaction_kinds"}
        self.put_in_force(renamed(written, seed))

    def put_in_force(self, document: dict[str, Any]) -> None:
        version = next((n for n, each in self.stored.items() if each == document), None)
        if version is None:
            made = self.world.do(
                versions.create, PolicyDocument.model_validate(document),
                now=self.now, by="sim",
            )  # fmt: skip
            version = int(made["version"])
            self.stored[version], self.copied[version] = document, self.kinds
        timeline = self.customers.timeline
        if version == timeline.current.version:
            return
        document = document | {"interaction_kinds": self.copied[version]}
        seen = self.world.operate(previews.submit, version)
        matrix = expected.matrix(self.customers, version, document, self.now)
        assert expected.told(seen["matrix"]) == matrix
        assert {name: seen[name] for name in ("customers", "transitions", "renamed")} == (
            expected.totals(matrix, document)
        )
        assert expected.lost(self.customers, version, document, self.now) == {
            each["customer_id"]: each["stage"] for each in seen["lost_overrides"]["items"]
        }
        asked = ActivationRequest(token=seen["token"])
        done = self.world.operate(activations.submit, version, asked, if_match=None)
        assert expected.told(done["matrix"]) == matrix
        assert datetime.fromisoformat(done["activated_at"]) == self.now
        self.customers.timeline = timeline.followed_by(version, document, self.now)
        self.touched |= self.customers.told.keys()
        for each in self.customers:
            self.world.ask(checks.recorded, self.customers, each, self.latest(each))

    # What must hold after every step.

    @invariant()
    def every_answer_is_true(self) -> None:
        self.check_those_touched()
        if self.customers.told:
            told = sorted(self.customers.told)
            self.world.ask(checks.stages_of_now, self.world.here, told, self.now)
        # Lists and reports of a run stay; reasons on them follow the facts of today.
        if self.published is not None and (self.is_new or self.rng.random() < SEEN_AGAIN):
            self.is_new = False
            self.published.check(self.world, self.customers)
        # No two requests come at one instant.
        self.world.pass_time(timedelta(seconds=1))

    def check_those_touched(self) -> None:
        touched, self.touched = sorted(self.touched), set()
        for each in touched:
            self.world.ask(checks.everything, self.world.here, self.customers, each, self.now,
                           self.moments(each))  # fmt: skip
        if touched:
            self.world.ask(checks.rebuilt, self.world.here, sorted(self.customers.told))
            model_id = self.world.ask(stored_settings.pointers).model_id
            scorer = None if model_id is None else self.world.ask(scoring.read, model_id)
            at = self.rng.choice(self.moments(self.rng.choice(touched)))
            self.world.ask(checks.cards, self.world.here, self.customers, scorer, at, self.now,
                           touched, alone=self.rng.choice(touched))  # fmt: skip

    def moments(self, each: str) -> list[datetime]:
        """Return instants worth asking for: now, and one in the past."""
        life = self.customers.life(each)
        happened = [one.at for one in (*life.person.facts, *life.person.interactions)]
        happened += sorted(slow_profile.instants(life.person.said))
        at = self.rng.choice([life.first, *happened, *(c.at for c in life.changes(self.now))])
        at += self.rng.choice((timedelta(0), MICROSECOND, -MICROSECOND, timedelta(days=7),
                               timedelta(days=90), timedelta(days=180)))  # fmt: skip
        return [self.now, min(at, self.now)]
