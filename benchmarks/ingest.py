"""Bulks of 1,000 beside plain COPY of the same rows into the same table, over HTTP.

Under the default policy, under `b2b`, and under one that looks at money and interactions; each on
a service of its own. `--before FOLDER` gives another tree the same in turn.
"""

import argparse
import asyncio
import contextlib
import copy
import os
import statistics
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import numpy as np

from app.lifecycle.presets import PRESETS
from benchmarks import business

ITEMS = 1000
START = datetime(2024, 1, 1, 12, tzinfo=UTC)
FACT = ("customer_id", "source", "revision", "fingerprint", "occurred_at", "occurred_on",
        "received_at")  # fmt: skip
COLUMNS = {
    "transactions": (*FACT, "transaction_id", "kind", "amount", "currency", "value"),
    "interactions": (*FACT, "interaction_id", "kind"),
    "customers": ("customer_id", "version", "profile_version", "stage_version", "attributes",
                  "stage", "created_at", "updated_at", "industry"),
}  # fmt: skip
PLAIN, B2B, MONEY = "plain", "b2b", "on money and interactions"
Items = list[dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """Something to post, and what it is told as; `batch` is given the number of the turn."""

    name: str
    batch: Callable[[int], Items]
    kind: str = "transactions"


@dataclass(frozen=True)
class Tree:
    client: httpx.Client
    dsn: str


def fact(customer: str, number: str, days: float, **more: Any) -> dict[str, Any]:
    """Return a purchase; more columns replace its own."""
    return {
        "customer_id": customer,
        "transaction_id": number,
        "occurred_at": (START + timedelta(days=days)).isoformat(),
        "amount": {"amount": f"{10 + zlib.crc32((customer + number).encode()) % 90}.50"},
        **more,
    }


def known(number: int) -> str:
    return f"known-{number:04}"


def in_order(history: int, turn: int) -> Items:
    return [fact(known(each), f"o{turn}", history + turn) for each in range(ITEMS)]


def back_dated(history: int, turn: int, *, shift: float = 0.0) -> Items:
    """Return facts of days that have purchases, or with a shift of other instants."""
    days = np.random.default_rng(turn).integers(1, history - 1, ITEMS) + shift
    name = f"b{turn}-{shift:g}"
    return [fact(known(each), name, float(days[each])) for each in range(ITEMS)]


def mixed(history: int, turn: int) -> Items:
    """Return one tenth refunds, one tenth revisions, and else purchases in order."""
    day = history + 100 + turn
    return [
        fact(known(each), f"r{turn}", day, kind="refund", amount={"amount": "1.00"},
             refunds={"transaction_id": f"h{turn}"}) if each % 10 == 0
        else fact(known(each), f"h{turn}", turn, revision=2, amount={"amount": "7.25"})
        if each % 10 == 1
        else fact(known(each), f"m{turn}", day)
        for each in range(ITEMS)
    ]  # fmt: skip


def several(turn: int) -> Items:
    return [
        fact(known(each % 100), f"s{turn}-{each}", 500 + turn + each / ITEMS)
        for each in range(ITEMS)
    ]


def of_giant(history: int, turn: int, *, day: float | None) -> Items:
    at = history + 1 + turn if day is None else day
    return [fact("giant", f"x{turn}-{day}", at)]


def visits(turn: int) -> Items:
    at = (START + timedelta(days=600 + turn)).isoformat()
    return [
        {"customer_id": known(each), "interaction_id": f"v{turn}", "kind": "visit",
         "occurred_at": at} for each in range(ITEMS)
    ]  # fmt: skip


def profiles(turn: int) -> Items:
    return [{"customer_id": known(each), "industry": f"industry {turn}"} for each in range(ITEMS)]


def cases(history: int) -> list[Case]:
    order, late, big = partial(in_order, history), partial(back_dated, history), 100
    return [
        Case("new customers", lambda turn: [
            fact(f"new-{turn:02}-{each:04}", "1", 0) for each in range(ITEMS)
        ]),
        Case(f"in order, {history} facts each", order),
        Case(f"back-dated, {history} facts each", late),
        Case("back-dated, other instants", partial(late, shift=0.21)),
        Case("mix with refunds and revisions", partial(mixed, history)),
        Case("in order, ten of each", several),
        Case("one of the giant in order", partial(of_giant, big, day=None)),
        Case("one of the giant back-dated", partial(of_giant, big, day=big / 2)),
        Case("one of the giant, another instant", partial(of_giant, big, day=big / 3 + 0.37)),
        Case("interactions", visits, "interactions"),
        Case("profiles", profiles, "customers"),
    ]  # fmt: skip


def rows(kind: str, items: Items) -> list[tuple[Any, ...]]:
    """Return what is stored of items at least, of customers of their own."""
    now, found = datetime.now(UTC), []
    for item in items:
        row = {
            "customer_id": "copy-" + item["customer_id"], "source": "default", "version": 1,
            "profile_version": 1, "stage_version": 1, "attributes": "{}", "stage": "potential",
            "created_at": now, "updated_at": now, "received_at": now, "fingerprint": b"0" * 16,
            "currency": "EUR", "kind": "purchase", "revision": 1,
            **{name: item[name] for name in item if name not in ("customer_id", "amount")},
        }  # fmt: skip
        if "occurred_at" in item:
            row["occurred_at"] = datetime.fromisoformat(item["occurred_at"])
            row["occurred_on"] = row["occurred_at"].date()
        if "amount" in item:
            row["amount"] = row["value"] = Decimal(item["amount"]["amount"])
        found.append(tuple(row[name] for name in COLUMNS[kind]))
    return found


async def copied(connection: asyncpg.Connection, case: Case, turn: int) -> float:
    made = rows(case.kind, case.batch(turn))
    if case.kind == "customers":
        made = [(f"{row[0]}-{turn}", *row[1:]) for row in made]
    started = time.perf_counter()
    await connection.copy_records_to_table(case.kind, records=made, columns=COLUMNS[case.kind])
    return time.perf_counter() - started


def posted(tree: Tree, case: Case, turn: int) -> float:
    items = case.batch(turn)
    started = time.perf_counter()
    answer = tree.client.post(f"/v1/{case.kind}/bulk", json={"items": items})
    seconds = time.perf_counter() - started
    counts = answer.raise_for_status().json()["counts"]
    assert counts["rejected"] + counts["duplicate"] == 0, answer.text[:500]
    return seconds


def money_policy() -> dict[str, Any]:
    """Return the default policy with a rule more, on revenue and visits."""
    document: dict[str, Any] = copy.deepcopy(PRESETS["five_stages"])
    seen = [
        {"variable": "revenue", "op": ">=", "value": 1000},
        {"variable": "interactions", "kind": "visit", "op": ">=", "value": 1},
    ]
    document["rules"].insert(-2, {"code": "visited", "stage": "loyal", "when": {"all": seen}})
    return document


def put_in_force(client: httpx.Client, policy: str) -> None:
    if policy == B2B:
        listed = client.get("/v1/policies").raise_for_status().json()["items"]
        (version,) = (each["version"] for each in listed if each["preset"] == "b2b")
    else:
        made = client.post("/v1/policies", json=money_policy()).raise_for_status()
        version = made.json()["version"]
    path = f"/v1/policies/{version}"
    token = business.done(client, f"{path}/preview", {})["result"]["token"]
    business.done(client, f"{path}/activate", {"token": token})


@contextlib.contextmanager
def filled(policy: str, history: int, giant: int, folder: Path | None) -> Iterator[Tree]:
    """Run a service under a policy that knows a thousand customers, and one giant."""
    with business.service(folder) as (service, client):
        if policy != PLAIN:
            with business.workers(service, tree=folder):
                put_in_force(client, policy)
        for day in range(history):
            business.tell(client, [fact(known(each), f"h{day}", day) for each in range(ITEMS)])
        if giant:
            items = [fact("giant", f"g{each}", each * 100 // giant) for each in range(giant)]
            business.tell(client, items)
        yield Tree(client, service.dsn)


def measured(policy: str, trees: list[Tree], asked: list[Case], rounds: int) -> dict[str, Any]:
    """Return by case the median ratio to COPY of each tree."""
    found: dict[str, Any] = {}
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(trees[0].dsn))
        for case in asked:
            turns = []
            for turn in range(rounds):
                own = [posted(tree, case, turn) for tree in trees]
                turns.append((*own, runner.run(copied(connection, case, turn))))
            *own, plain = (statistics.median(column) * 1e3 for column in zip(*turns, strict=True))
            told = ", before ".join(f"{each:.1f} ms" for each in own)
            print(f"{policy}, {case.name}: {told}, COPY {plain:.1f} ms; load "
                  f"{os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip
            found[case.name] = [
                statistics.median(turn[place] / turn[-1] for turn in turns)
                for place in range(len(trees))
            ]
        runner.run(connection.close())
    return found


def main(asked: argparse.Namespace) -> None:
    found: dict[str, dict[str, Any]] = {}
    folders = [None, *([asked.before] if asked.before else [])]
    some = [
        case
        for case in cases(asked.history)
        if (asked.giant or "giant" not in case.name) and asked.only in case.name
    ]
    for policy in asked.policies.split(","):
        with contextlib.ExitStack() as stack:
            trees = [
                stack.enter_context(filled(policy, asked.history, asked.giant, folder))
                for folder in folders
            ]
            found[policy] = measured(policy, trees, some, asked.rounds)
    for policy, ratios in found.items():
        for name, own in ratios.items():
            line = f"{policy}, {name}: " + ", before ".join(f"{each:.1f} x COPY" for each in own)
            if policy != PLAIN and PLAIN in found:
                line += f"; {own[0] / found[PLAIN][name][0]:.2f} x plain"
            print(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--history", type=int, default=50, help="facts of each known customer")
    parser.add_argument("--giant", type=int, default=100_000, help="facts of the giant, or 0")
    parser.add_argument("--policies", default=f"{PLAIN},{B2B},{MONEY}")
    parser.add_argument("--only", default="", help="cases with this in their name")
    parser.add_argument("--before", type=Path, help="folder of another tree")
    main(parser.parse_args())
