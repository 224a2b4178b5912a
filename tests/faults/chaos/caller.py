"""How callers call: with a time-out, again where they got no answer, and looking at each answer."""

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

import httpx

from tests.faults.chaos.journal import Journal

TIMEOUT_SECONDS = 5.0
_PAUSE_SECONDS = 0.05, 0.25
_ANEW = frozenset(("idempotency_in_progress", "operation_running"))
"""Codes of a conflict that passes: another try, or another operation, is under way."""


class Caller:
    """One of those who call: does one thing after the other."""

    def __init__(
        self, name: str, urls: Sequence[str], key: str, journal: Journal, seed: int
    ) -> None:
        self.name = name
        self.urls = urls
        self.journal = journal
        self.chance = random.Random(f"{seed} {name}")
        self.client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            verify=False,  # there is no TLS
        )
        self.clean = True
        """Whether the last request was answered at once."""
        self._requests = 0

    async def act(self) -> None:
        """Do one thing."""
        raise NotImplementedError

    async def act_until(self, stopping: asyncio.Event) -> None:
        """Do one thing after the other, and bring the last one to its end."""
        while not stopping.is_set():
            await self.act()
            await asyncio.sleep(self.chance.uniform(0, 0.03))

    async def ask(
        self,
        method: str,
        path: str,
        expected: Sequence[int],
        *,
        body: object = None,
        headers: dict[str, str] | None = None,
        key: str | None = None,
        tries: int = 1000,
    ) -> httpx.Response | None:
        """Send a request until it is answered; None if that was not so in so many tries.

        Whatever is answered beyond what is expected, and 503 as declared, is a fault.
        """
        self._requests += 1
        number = self._requests
        for attempt in range(tries):
            sent = {"X-Request-Id": key or f"{self.name}-{number:06}-{attempt}", **(headers or {})}
            if key is not None:
                sent["Idempotency-Key"] = key
            url = self.chance.choice(self.urls) + path
            self.journal.counts["requests"] += 1
            try:
                answer = await self.client.request(method, url, json=body, headers=sent)
            except httpx.TransportError:
                self.journal.counts["unanswered"] += 1
            else:
                if self._is_final(answer, method, path, expected):
                    self.clean = attempt == 0
                    return answer
            await asyncio.sleep(self.chance.uniform(*_PAUSE_SECONDS))
        self.clean = False
        return None

    def _is_final(
        self, answer: httpx.Response, method: str, path: str, expected: Sequence[int]
    ) -> bool:
        """Look at an answer; False if the request is to be sent again."""
        status = answer.status_code
        what = f"{method} {path} {status}"
        problem = self._problem(answer, what) if status >= 400 else {}
        if status == 503:
            self.journal.counts["refused"] += 1
            if int(answer.headers.get("Retry-After", 0)) < 1:
                self.journal.blame("undeclared", f"{what} without Retry-After")
            return False
        if status in expected:
            return True
        if status == 409 and problem.get("code") in _ANEW:
            self.journal.counts["in_progress"] += 1
            return False
        if status == 409 and "Retry-After" in answer.headers:
            self.journal.counts["raced"] += 1
            return False
        word = "undeclared" if status < 500 else "failed"
        self.journal.blame(word, f"{what} {answer.text[:300]}")
        return True

    def _problem(self, answer: httpx.Response, what: str) -> dict[str, Any]:
        try:
            problem: dict[str, Any] = json.loads(answer.content)
        except ValueError:
            problem = {}
        kind = answer.headers.get("content-type", "")
        if kind != "application/problem+json" or problem.get("status") != answer.status_code:
            self.journal.blame("undeclared", f"{what}: {kind} {answer.text[:200]}")
        return problem

    def parsed(self, answer: httpx.Response) -> Any:
        """Return the JSON of an answer that is whole; it is a fault if it is not."""
        try:
            return json.loads(answer.content)
        except ValueError:
            self.journal.blame("torn", f"{answer.request.url.path} {answer.content[-80:]!r}")
            return {}
