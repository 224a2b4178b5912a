"""What a key with a rate is told, on a clock of the test."""

from types import SimpleNamespace
from typing import Any

import pytest

from app.edge import rates
from app.edge.rates import Rates
from app.errors import RateLimited


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(rates, "monotonic", lambda: now[0])
    return now


def key(name: str, rate: float | None, burst: int | None = None) -> Any:
    return SimpleNamespace(key_id=name, rate_per_second=rate, burst=burst)


def test_a_key_without_a_rate_is_told_nothing(clock: list[float]) -> None:
    assert Rates(1).take(key("a", None)) == {}
    assert Rates(1).take(SimpleNamespace(key_id="old")) == {}  # type: ignore[arg-type]


def test_a_burst_is_spent_and_earned_again(clock: list[float]) -> None:
    limits = Rates(1)
    limited = key("a", 2.0, 4)
    told = [limits.take(limited) for _ in range(4)]
    assert {each["RateLimit-Policy"] for each in told} == {'"key";q=4;w=2'}
    assert [each["RateLimit"] for each in told] == [
        '"key";r=3;t=1', '"key";r=2;t=1', '"key";r=1;t=2', '"key";r=0;t=2'
    ]  # fmt: skip
    with pytest.raises(RateLimited) as refused:
        limits.take(limited)
    assert refused.value.headers["Retry-After"] == "1"
    assert refused.value.headers["RateLimit"] == '"key";r=0;t=2'
    assert limits.refusing
    assert limits.exceeded(limited) is not None
    assert limits.take(key("b", 2.0, 4))["RateLimit"] == '"key";r=3;t=1'
    clock[0] += 0.5
    assert limits.exceeded(limited) is None
    assert limits.take(limited)["RateLimit"] == '"key";r=0;t=2'
    clock[0] += 100
    assert limits.take(limited)["RateLimit"] == '"key";r=3;t=1'


def test_each_process_has_its_share(clock: list[float]) -> None:
    limits = Rates(4)
    assert limits.take(key("a", 8.0, 8))["RateLimit-Policy"] == '"key";q=2;w=1'
    assert limits.take(key("slow", 0.01))["RateLimit-Policy"] == '"key";q=1;w=400'
    with pytest.raises(RateLimited) as refused:
        limits.take(key("slow", 0.01))
    assert refused.value.headers["Retry-After"] == "400"


def test_a_rate_that_was_changed_holds_at_once(clock: list[float]) -> None:
    limits = Rates(1)
    limits.take(key("a", 1.0, 100))
    assert limits.take(key("a", 1.0, 2))["RateLimit-Policy"] == '"key";q=2;w=2'
