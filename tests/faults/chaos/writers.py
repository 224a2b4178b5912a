"""Callers who write facts and profiles, and repeat what they wrote, as it was and otherwise."""

from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.faults.chaos.caller import Caller
from tests.faults.chaos.journal import INTERACTIONS, TRANSACTIONS

BEGIN = datetime(2024, 1, 2, 9, tzinfo=UTC)
DAYS = 600
SHARED_CUSTOMERS, OWN_CUSTOMERS = 6, 8
_GIVING_UP = 0.1
"""The share of writes that are not repeated when no answer comes."""
_Act = Callable[[], Coroutine[Any, Any, None]]


class Writer(Caller):
    """Writes to customers of its own, and to some that all write to."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._number = 0
        self._told: list[tuple[str, dict[str, Any]]] = []
        """Facts that were acknowledged."""
        self._keyed: list[tuple[str, str, dict[str, Any], bytes]] = []
        """Writes under a key: path, key, body, answer."""
        self._acts: dict[_Act, int] = {
            self._one: 6,
            self._bulk: 3,
            self._name: 3,
            self._repeat: 2,
            self._contradict: 1,
            self._replay: 2,
            self._reuse: 1,
        }

    async def act(self) -> None:
        (act,) = self.chance.choices(list(self._acts), list(self._acts.values()))
        await act()

    def _next(self) -> str:
        self._number += 1
        return f"{self.name}-n{self._number:06}"

    def _customer(self) -> str:
        if self.chance.random() < 0.3:
            return f"shared-{self.chance.randrange(SHARED_CUSTOMERS)}"
        return f"{self.name}-c{self.chance.randrange(OWN_CUSTOMERS)}"

    def _tries(self) -> int:
        return 1 if self.chance.random() < _GIVING_UP else 1000

    def _fact(self) -> tuple[str, dict[str, Any]]:
        at = BEGIN + timedelta(
            days=self.chance.randrange(DAYS), seconds=self.chance.randrange(9999)
        )
        fact = {"customer_id": self._customer(), "occurred_at": at.isoformat()}
        if self.chance.random() < 0.25:
            kind = self.chance.choice(("visit", "call", "complaint"))
            return INTERACTIONS, {**fact, "interaction_id": self._next(), "kind": kind}
        amount = {"amount": f"{self.chance.randrange(100, 9999) / 100:.2f}"}
        bought = {**fact, "transaction_id": self._next(), "kind": "purchase", "amount": amount}
        earlier = [body for family, body in self._told[-50:] if family == TRANSACTIONS]
        if earlier and self.chance.random() < 0.2:
            purchase = self.chance.choice(earlier)
            name = {"transaction_id": purchase["transaction_id"]}
            bought |= {"kind": "refund", "customer_id": purchase["customer_id"], "refunds": name}
        return TRANSACTIONS, bought

    async def _one(self) -> None:
        family, body = self._fact()
        await self._write(family, f"/v1/{family}", body, [body], (201, 200))

    async def _bulk(self) -> None:
        facts = [self._fact() for _ in range(self.chance.randint(2, 30))]
        bodies = [body for family, body in facts if family == TRANSACTIONS]
        if bodies:
            path = f"/v1/{TRANSACTIONS}/bulk"
            await self._write(TRANSACTIONS, path, {"items": bodies}, bodies, (200,))

    async def _write(
        self, family: str, path: str, body: dict[str, Any], facts: Sequence[dict[str, Any]],
        expected: tuple[int, ...],
    ) -> None:  # fmt: skip
        for each in facts:
            self.journal.sent(family, each)
        key = self._next() if self.chance.random() < 0.5 else None
        if key is not None:
            self.journal.keyed[key] = False
        answer = await self.ask("POST", path, expected, body=body, key=key, tries=self._tries())
        if answer is None or answer.status_code not in expected:
            return
        self.journal.counts["acknowledged"] += 1
        if not self._is_taken(answer, facts):
            return
        for each in facts:
            self.journal.acknowledge(family, each)
            self._told.append((family, each))
        if key is not None:
            self.journal.keyed[key] = True
            self._keyed.append((path, key, body, answer.content))

    def _is_taken(self, answer: httpx.Response, facts: Sequence[dict[str, Any]]) -> bool:
        found = self.parsed(answer)
        if not answer.url.path.endswith("/bulk"):
            return bool(found)
        statuses = [each["status"] for each in found.get("items", ())]
        taken = len(statuses) == len(facts) and set(statuses) <= {"created", "duplicate"}
        if not taken:
            self.journal.blame("undeclared", f"{answer.url.path} {answer.text[:300]}")
        return taken

    async def _name(self) -> None:
        customer = f"{self.name}-c{self.chance.randrange(OWN_CUSTOMERS)}"
        name = self._next()
        names = self.journal.names[customer]
        names.late.add(name)
        answer = await self.ask(
            "PUT", f"/v1/customers/{customer}", (200, 201), body={"name": name}, tries=self._tries()
        )
        if answer is not None and answer.status_code in (200, 201):
            self.journal.counts["acknowledged"] += 1
            names.acknowledged = name
            if self.clean:
                names.late.discard(name)

    async def _repeat(self) -> None:
        """What was acknowledged is there when it is told again."""
        if self._told:
            family, body = self.chance.choice(self._told)
            await self.ask("POST", f"/v1/{family}", (200,), body=body)

    async def _contradict(self) -> None:
        """What was acknowledged is never overwritten."""
        if self._told:
            family, body = self.chance.choice(self._told)
            kind = "amount" if family == TRANSACTIONS else "kind"
            other = {"amount": {"amount": "0.01"}, "kind": "meeting"}[kind]
            await self.ask("POST", f"/v1/{family}", (409,), body={**body, kind: other})

    async def _replay(self) -> None:
        """The same request under its key gets the same answer."""
        if self._keyed:
            path, key, body, first = self.chance.choice(self._keyed)
            answer = await self.ask("POST", path, (200, 201), body=body, key=key)
            if answer is not None and answer.content != first:
                self.journal.blame("doubled", f"{path} {key} was answered anew")

    async def _reuse(self) -> None:
        """Another request under a key that was used is refused."""
        if self._keyed:
            path, key, _, _ = self.chance.choice(self._keyed)
            family, body = self._fact()
            asked = {"items": [body]} if path.endswith("/bulk") else body
            if family == TRANSACTIONS and TRANSACTIONS in path:
                await self.ask("POST", path, (422,), body=asked, key=key)
