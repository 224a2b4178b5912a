"""How long `/livez` waits beside the heaviest legal requests: the pauses of the event loop.

A process of its own asks `/livez` every few milliseconds while one request after another is sent.
Beside nothing it tells what the machine adds. `--before FOLDER` runs another tree.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import time
import uuid
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx

from benchmarks import business

EVERY = 0.005
MB = 1_000_000
BULK = range(1000)
Asked = tuple[str, str, str, bytes | None, dict[str, str]]


def poll(url: str, pipe: Connection) -> None:
    """Ask until told to stop; send the longest answer."""
    with httpx.Client(trust_env=False) as client:
        client.get(f"{url}/livez")
        while pipe.recv():
            worst = 0.0
            while not pipe.poll():
                began = time.perf_counter()
                client.get(f"{url}/livez").raise_for_status()
                worst = max(worst, time.perf_counter() - began)
                time.sleep(EVERY)
            pipe.recv()
            pipe.send(worst)


def filled(unit: bytes, before: bytes = b'{"items":[', after: bytes = b"]}") -> bytes:
    """Return a body of a megabyte of one value."""
    return before + b",".join([unit] * ((MB - 30) // (len(unit) + 1))) + after


def bulks() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield batches of 1,000 of every family, good ones and such as are all faults."""
    run, at = uuid.uuid4().hex[:8], "2026-01-05T10:00:00Z"
    for family, noun, more in (
        ("transactions", "transaction", {"amount": {"amount": "12.50"}}),
        ("interactions", "interaction", {"kind": "visit"}),
    ):

        def fact(number: int, customer: str, noun: str = noun, more: Any = more) -> dict[str, Any]:
            named = {"customer_id": customer, f"{noun}_id": f"{run}-{customer}-{number}"}
            return {**named, "occurred_at": at, **more}

        yield family, [fact(number, f"{run}{number}") for number in BULK]
        yield f"{family} of one", [fact(number, "one") for number in BULK]
        yield (
            f"{family} ahead",
            [{**fact(number, "far"), "occurred_at": "2999-01-01T00:00:00Z"} for number in BULK],
        )
        yield f"{family} all faults", [{"a": 1, "occurred_at": "x", "amount": 1} for _ in BULK]
        yield f"{family} of unknown keys", [{f"k{key}": 1 for key in range(90)} for _ in BULK]
    contact = {"name": "王小明", "email": "a@example.com", "phone": "+86 21 5555 0101",
               "country": "China"}  # fmt: skip
    yield "customers", [{"customer_id": f"{run}p{number}", **contact} for number in BULK]
    for again in (0, 1):
        large = {f"k{key}": key + again for key in range(80)}
        yield (
            f"customers, large attributes, {again}",
            [{"customer_id": f"{run}q{number}", "attributes": large} for number in BULK],
        )
    yield "customers, unread", [{"customer_id": f"{run}r{number}", "phone": "x", "email": "y",
                                 "country": "z"} for number in BULK]  # fmt: skip


def requests() -> Iterator[Asked]:
    zipped = {"content-encoding": "gzip"}
    for name, items in bulks():
        yield name, "POST", f"/v1/{name.split()[0].strip(',')}/bulk", to_json(items=items), {}
    for name, body in (
        ("a MB of {}", filled(b"{}")),
        ("a MB of 0", filled(b"0")),
        ("a MB of floats", filled(b"1.5")),
        ("a MB of lists", filled(b"[[[[0]]]]")),
        ("a MB without an object", filled(b"0", b"[", b"]")),
    ):
        yield name, "POST", "/v1/transactions/bulk", body, {}
        yield f"{name}, gzip", "POST", "/v1/transactions/bulk", gzip.compress(body), zipped
    names = [business.name(number) for number in BULK]
    yield "look-up", "POST", "/v1/scores/lookup", to_json(customer_ids=names), {}
    history = {"x": 3, "t_x": 100, "T": 200}
    yield (
        "histories",
        "POST",
        "/v1/score",
        to_json(items=[{**history, "mean_value": {"amount": "12.50"}}] * 10_000),
        {},
    )
    yield "name of a MB", "PUT", "/v1/customers/one", to_json(name="x" * (MB - 20)), {}
    rule = {"variable": "purchase_days", "op": ">=", "value": 1}
    stage = {"code": "potential", "name": {"en": "p", "zh": "p"}}
    policy = to_json(name="x", stages=[stage], rules=[{"when": {"any": [rule] * 15_000}}])
    yield "policy of a MB", "POST", "/v1/policies", policy, {}
    yield "preview", "POST", "/v1/policies/1/preview", b"", {}
    for path in (
        "customers", "customers?q=c", "transactions", "transitions", "scores", "interaction-kinds",
        "churn-risks?include=all", "policies", "models", "operations", "variables",
        *(f"customers/one/{each}" for each in (
            "transactions", "interactions", "timeline", "stage", "scores", "stage/explanation",
            "stage-history", "profile-history", "transitions")),
    ):  # fmt: skip
        pages = path.rpartition("/")[2] not in (
            "stage", "scores", "explanation", "stage-history", "variables", "interaction-kinds",
        ) or path == "scores"  # fmt: skip
        limit = ("&" if "?" in path else "?") + "limit=500" if pages else ""
        yield path, "GET", f"/v1/{path}{limit}", None, {}
    for form in ("text/csv", "application/x-ndjson"):
        yield f"stream {form}", "GET", "/v1/scores", None, {"accept": form}
    yield "metrics", "GET", "/metrics", None, {}
    yield "the document", "GET", "/openapi.json", None, {}


def to_json(**body: Any) -> bytes:
    return json.dumps(body).encode()


def main(customers: int, rounds: int, before: Path | None) -> None:
    with business.service(before) as (service, client):
        business.tell(client, business.purchases(customers))
        business.learn(service, client, before)
        ours, theirs = multiprocessing.Pipe()
        polling = multiprocessing.Process(target=poll, args=(service.url, theirs), daemon=True)
        polling.start()
        found: dict[str, list[tuple[float, float, int]]] = {}

        def beside(name: str, method: str, path: str, body: bytes | None, headers: Any) -> None:
            ours.send(True)
            time.sleep(0.05)
            began = time.perf_counter()
            given = {"content-type": "application/json", **headers}
            answer = client.request(method, path, content=body, headers=given)
            took = time.perf_counter() - began
            assert answer.status_code < 500, answer.text
            time.sleep(0.02)
            ours.send(True)
            found.setdefault(name, []).append((ours.recv(), took, answer.status_code))

        for _ in range(rounds):
            beside("nothing", "GET", "/livez", None, {})
            for asked in requests():
                beside(*asked)
        ours.send(False)
    # Another process may have held the processor: the best of the rounds is what the request does.
    told = sorted((min(times), name) for name, times in found.items())
    for (waited, took, status), name in told:
        print(f"{name}: {status}, /livez {waited * 1e3:.0f} ms, answer {took * 1e3:.0f} ms")
    (worst, *_), name = told[-1]
    print(f"worst of /livez: {worst * 1e3:.0f} ms beside {name}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", type=Path, help="folder of another tree")
    given = parser.parse_args()
    main(given.customers, given.rounds, given.before)
