"""How many requests a key may make: a bucket of tokens for each key that has a limit.

Each process keeps its own and has its share of the rate: to count together they would have to ask
the database at every request.
"""

import math
from dataclasses import dataclass
from time import monotonic

from app.errors import RateLimited
from app.services.access.keys import Principal
from app.telemetry import metrics

_MANY = 10_000
_REFUSING_SECONDS = 1.0


@dataclass(slots=True)
class _Bucket:
    rate: float
    burst: float
    tokens: float
    at: float

    def fill(self, now: float) -> None:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now

    def headers(self) -> dict[str, str]:
        """Return what is left, as the IETF draft on `RateLimit` fields has it."""
        window = max(math.ceil(self.burst / self.rate), 1)
        full_in = math.ceil((self.burst - self.tokens) / self.rate)
        return {
            "RateLimit-Policy": f'"key";q={int(self.burst)};w={window}',
            "RateLimit": f'"key";r={int(self.tokens)};t={full_in}',
        }

    def error(self) -> RateLimited:
        wait = max(math.ceil((1 - self.tokens) / self.rate), 1)
        return RateLimited(headers={"Retry-After": str(wait), **self.headers()})


class Rates:
    """The buckets of one process."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._buckets: dict[str, _Bucket] = {}
        self._refusing_until = 0.0

    @property
    def refusing(self) -> bool:
        """Whether a key was over its rate a moment ago."""
        return monotonic() < self._refusing_until

    def take(self, principal: Principal) -> dict[str, str]:
        """Count a request, and return the headers that tell what is left.

        Raises
        ------
        RateLimited
            If nothing is left.
        """
        bucket = self._bucket(principal)
        if bucket is None:
            return {}
        if bucket.tokens < 1:
            self._refusing_until = monotonic() + _REFUSING_SECONDS
            metrics.count_refusal("rate")
            raise bucket.error()
        bucket.tokens -= 1
        return bucket.headers()

    def exceeded(self, principal: Principal) -> RateLimited | None:
        """Return how a request would be refused, without counting it."""
        bucket = self._bucket(principal)
        return bucket.error() if bucket is not None and bucket.tokens < 1 else None

    def _bucket(self, principal: Principal) -> _Bucket | None:
        per_second: float | None = getattr(principal, "rate_per_second", None)
        if per_second is None:
            return None
        now = monotonic()
        burst = max((getattr(principal, "burst", None) or per_second) / self._processes, 1.0)
        rate = per_second / self._processes
        bucket = self._buckets.get(principal.key_id)
        if bucket is None:
            if len(self._buckets) >= _MANY:
                self._buckets.clear()
            bucket = self._buckets[principal.key_id] = _Bucket(rate, burst, burst, now)
        bucket.rate, bucket.burst = rate, burst
        bucket.fill(now)
        return bucket
