"""Random lives of some customers: whatever happens in whatever order, every answer is the truth."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from app.config import Settings
from app.services.policy_changes import previews, taking_effect
from app.services.runs import runs
from tests.simulation.lives import Lives
from tests.simulation.world import World


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three customers be several parts of every operation."""
    for module, name in (
        (runs, "SCORE_PART"), (previews, "COMPARE_PART"), (taking_effect, "APPLY_PART")
    ):  # fmt: skip
        monkeypatch.setattr(module, name, 2)
    monkeypatch.setattr(runs, "TRANSITIONS_AT_ONCE", 1)


@pytest.fixture
def world(shared_url: str, settings: Settings) -> Iterator[World]:
    world = World(shared_url, settings)
    yield world
    world.close()


def test_every_answer_is_what_follows_from_what_was_told(world: World) -> None:
    """Drawn anew (`--hypothesis-profile=search`) a life that fails is made short, in minutes."""
    profile = settings.default
    assert profile is not None
    run_state_machine_as_test(
        lambda: Lives(world),
        settings=settings(
            max_examples=profile.max_examples // 12,
            stateful_step_count=30,
            phases=[Phase.generate] if profile.derandomize else profile.phases,
            suppress_health_check=list(HealthCheck),
        ),
    )
