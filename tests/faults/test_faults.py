"""What a running service owes when many call at once."""

import asyncio
import json
from collections import Counter

from tests.faults.conftest import Faults
from tests.service import Service


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
