"""What a running service owes when many call at once, and when it is killed."""

import asyncio
import json
import os
import random
import subprocess
from collections import Counter

import asyncpg
import httpx

from tests.faults.conftest import Faults
from tests.prepared import ENVIRONMENT
from tests.service import CLM, Service, free_port, wait_until_ready


def item(customer: str, transaction: str) -> dict[str, str]:
    return {
        "customer_id": customer,
        "transaction_id": transaction,
        "occurred_at": "2026-01-31T12:00:00Z",
        "amount": {"amount": "12.50"},
    }


def request(number: int) -> tuple[str, str, object]:
    """One of the requests that callers mix."""
    customer = f"c-{number % 50}"
    match number % 6:
        case 0:
            return "POST", "/v1/transactions", item(customer, str(number))
        case 1:
            batch = [item(f"b-{number % 7}-{each}", str(number)) for each in range(10)]
            return "POST", "/v1/transactions/bulk", {"items": batch}
        case 2:
            return "GET", f"/v1/customers/{customer}/scores", None
        case 3:
            return "GET", f"/v1/customers/{customer}/stage", None
        case 4:
            return "PUT", f"/v1/customers/{customer}", {"name": f"n{number}"}
        case _:
            return "GET", "/v1/customers?limit=5", None


async def call(service: Service, number: int) -> int:
    """Send a request on a connection of its own; return the status of a well-formed answer."""
    method, path, body = request(number)
    content = b"" if body is None else json.dumps(body).encode()
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {service.key}\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + content)
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    headers, _, document = answer.partition("\r\n\r\n")
    status = int(headers.split()[1])
    if status >= 400:
        assert "content-type: application/problem+json" in headers.lower()
        assert json.loads(document)["status"] == status
    if status == 503:
        assert "retry-after:" in headers.lower()
    return status


async def storm(service: Service, requests: int, at_once: int) -> Counter[int]:
    turns = asyncio.Semaphore(at_once)

    async def one(number: int) -> int:
        async with turns:
            return await call(service, number)

    await call(service, 4)  # makes a customer, and the key known
    return Counter(await asyncio.gather(*(one(number) for number in range(requests))))


async def test_requests_up_to_the_limit_at_once_are_all_served(
    service: Service, faults: Faults
) -> None:
    statuses = await storm(service, faults.requests, faults.admission_limit)
    assert set(statuses) <= {200, 201, 404}, statuses


async def test_more_requests_at_once_are_served_or_turned_away_politely(
    service: Service, faults: Faults
) -> None:
    statuses = await storm(service, faults.requests, faults.requests)
    assert set(statuses) <= {200, 201, 404, 503}, statuses
    assert statuses[200] + statuses[201] + statuses[404] >= faults.admission_limit, statuses


async def test_what_was_acknowledged_survives_kill_9_of_the_api_once(
    service: Service, faults: Faults
) -> None:
    """Kill the API amid bulks again and again, on a database that lives on; then resend all."""
    own = {"CLM_DATABASE_URL": service.dsn, "CLM_LOG_LEVEL": "WARNING"}
    environment = {**os.environ, **ENVIRONMENT, **own}
    acknowledged: set[str] = set()
    sent: list[list[dict[str, str]]] = []
    chance = random.Random(7)
    for _ in range(faults.kills_of_api):
        port = free_port()
        api = subprocess.Popen([*CLM, "serve", "--no-worker", "--port", str(port)], env=environment)
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, api)
        await _send_until_killed(url, service, api, chance, acknowledged, sent)
        api.wait(10)
    async with httpx.AsyncClient(
        base_url=service.url, headers=service.headers, timeout=60
    ) as client:
        stored = await _stored(service)
        assert acknowledged <= set(stored)
        for batch in sent:
            answer = await client.post("/v1/transactions/bulk", json={"items": batch})
            assert answer.json()["counts"]["rejected"] == 0
    stored = await _stored(service)
    assert stored == Counter(each["transaction_id"] for batch in sent for each in batch)
    assert await _days_summarised(service) == len({b[0]["customer_id"] for b in sent})


async def _send_until_killed(
    url: str,
    service: Service,
    api: subprocess.Popen[bytes],
    chance: random.Random,
    acknowledged: set[str],
    sent: list[list[dict[str, str]]],
) -> None:
    acknowledged_before = len(acknowledged)
    async with httpx.AsyncClient(base_url=url, headers=service.headers, timeout=30) as client:
        while api.poll() is None:
            number = len(sent)
            batch = [item(f"k-{number}", f"{number}-{each}") for each in range(300)]
            sent.append(batch)
            try:
                answer = await client.post("/v1/transactions/bulk", json={"items": batch})
            except httpx.HTTPError:
                return
            assert answer.json()["counts"]["created"] == 300
            if len(acknowledged) == acknowledged_before:
                asyncio.get_running_loop().call_later(chance.uniform(0, 0.6), api.kill)
            acknowledged.update(each["transaction_id"] for each in batch)


async def _stored(service: Service) -> Counter[str]:
    connection = await asyncpg.connect(service.dsn)
    rows = await connection.fetch(
        "SELECT transaction_id FROM transactions WHERE customer_id LIKE 'k-%'"
    )
    await connection.close()
    return Counter(row["transaction_id"] for row in rows)


async def _days_summarised(service: Service) -> int:
    connection = await asyncpg.connect(service.dsn)
    total: int = await connection.fetchval(
        "SELECT sum(purchase_days) FROM purchase_summaries WHERE customer_id LIKE 'k-%'"
    )
    await connection.close()
    return total
