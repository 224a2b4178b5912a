"""Mutated requests over every operation of the document: `python -m tests.hostile`.

Each is a request as the document shows it, with some things in it made wrong: ids, parameters,
bodies, headers, encodings, methods. What must not happen is a 5xx, a status that the operation does
not declare, or no answer. The same seed makes the same requests.
"""

import argparse
import asyncio
import copy
import gzip
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from tests.service import running_service

BEFORE_ANY = {400, 401, 404, 405, 408, 413, 415, 429, 431}
"""What a method that a path does not offer may be answered with."""
IDS = (
    "c-1001", "c-1002", "1", "7", "default", "visit", "complaint", "nobody", "bulk", "=1+1", "-5",
    "王", "a/b", "a/stage", "..", ".", "%", "a?b", "a#b", "\x00", "\ud800", " ", "x" * 128,
    "x" * 129, "x" * 5000, "9" * 30, "1e9", "e\u0301", "\u202e", "null", "'; --", "{}",
)  # fmt: skip
TEXTS = (
    "", "1", "0", "-1", "5", "999999999999999999999", "1.5", "NaN", "true", "null", "x",
    "2026-01-31", "2026-02-30", "2026-06-01T12:00:00Z", "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00+14:00",
    "1E+500", "\x00", "\ud800", "王", "active", "overdue", "customer_id", "-probability", "%", "'",
    "e\u0301", "x" * 300, "x" * 3000, "🂡", "=cmd()", "c-1001", "purchase", "visit",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 10**20, 10**400, -(2**63) - 1, 1.5, 1e308, float("nan"),
    float("inf"), [], {}, [[]], [None], {"": None}, {"amount": "12.50"}, {"amount": "1E+500"},
    {"amount": "-0", "currency": "EUR"}, *TEXTS,
)  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
ENCODINGS = ("gzip", "x-gzip", "br", "identity", "deflate", "gzip, gzip", "", "GZIP")
FORMS = (
    "application/json", "application/json; charset=utf-16", "text/plain", "application/x-ndjson",
    "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "json", "*/*", "",
)  # fmt: skip
HEADERS = {
    "Accept": ("*/*", "text/csv", "application/x-ndjson", "application/xml", ";q=1", "\xff"),
    "Accept-Encoding": ("gzip", "identity;q=0"),
    "Idempotency-Key": ("k1", '"k1"', "", "x" * 255, "x" * 256, "\xff", "k2"),
    "If-Match": ('"1"', "*", "1", 'W/"1"', '"99"', "x" * 201, '"\xff"'),
    "If-None-Match": ("*", '"1"'),
    "Range": ("bytes=0-1", "bytes=x"),
    "X-Request-Id": ("short", "a" * 64, "\xe9" * 9, "abcdefgh"),
    "traceparent": ("00-" + "1" * 32 + "-" + "2" * 16 + "-01", "nonsense"),
    "Cookie": ("a=b", "\xff"),
    "X-HTTP-Method-Override": ("DELETE",),
    "Origin": ("https://elsewhere.example", "null"),
    "X-Filler": ("x" * 4000,),
}


@dataclass(frozen=True)
class Operation:
    """An operation of the document: what to ask with, and what it may answer."""

    name: str
    method: str
    path: str
    parameters: list[dict[str, Any]]
    bodies: list[Any]
    declared: frozenset[int]


@dataclass(frozen=True)
class Attempt:
    """A request, and the statuses that may answer it."""

    operation: str
    method: str
    raw: bytes
    declared: set[int]


@dataclass
class Tally:
    """What became of all attempts."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    shown: dict[tuple[str, str, int], bytes] = field(default_factory=dict)

    def count(self, attempt: Attempt, status: int) -> None:
        """Count an answer; 0 is none."""
        self.statuses[status] += 1
        if status >= 500 or status not in attempt.declared:
            key = attempt.operation, attempt.method, status
            self.wrong[key] += 1
            self.shown.setdefault(key, attempt.raw[:2000])

    @property
    def server_errors(self) -> int:
        return sum(n for status, n in self.statuses.items() if status >= 500)


def operations_of(document: dict[str, Any]) -> list[Operation]:
    """Return the operations of a document."""
    found = []
    for path, item in document["paths"].items():
        for method, each in item.items():
            content = each.get("requestBody", {}).get("content", {}).get("application/json", {})
            examples = [shown["value"] for shown in content.get("examples", {}).values()]
            examples += [content["example"]] if "example" in content else []
            found.append(
                Operation(
                    each["operationId"],
                    method.upper(),
                    path,
                    each.get("parameters", []),
                    examples or ([{}] if content else []),
                    frozenset(int(status) for status in each["responses"]),
                )
            )
    return found


class Mutator:
    """Draws requests from a seed."""

    def __init__(self, operations: list[Operation], key: str, seed: int) -> None:
        self._operations = operations
        self._key = key
        self._random = Random(seed)

    def attempts(self, number: int) -> Iterator[Attempt]:
        """Yield requests, of each operation as many as of any other."""
        for place in range(number):
            yield self._attempt(self._operations[place % len(self._operations)])

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _attempt(self, operation: Operation) -> Attempt:
        method, declared = operation.method, set(operation.declared)
        if self._chance(0.06):
            method = self._random.choice(METHODS)
        if method != operation.method:
            declared = self._declared(method, operation.path)
        target = self._target(operation)
        if self._chance(0.03):  # no path, or another one
            path, mark, query = target.partition("?")
            suffix = self._random.choice(("/", "//", "/x", "%2F", ";a=b", "%00"))
            target, declared = f"{path}{suffix}{mark}{query}", declared | BEFORE_ANY
        body = self._body(operation)
        head, body = self._head(method, body)
        lines = [f"{method} {target} HTTP/1.1".encode(), b"Host: clm.test", *head]
        return Attempt(operation.name, method, b"\r\n".join(lines) + b"\r\n\r\n" + body, declared)

    def _declared(self, method: str, path: str) -> set[int]:
        """Return what another method of a path may be answered with."""
        wanted = "GET" if method == "HEAD" else method
        others = [
            each.declared
            for each in self._operations
            if each.method == wanted
            and (each.path == path or re.fullmatch(re.sub(r"{\w+}", "[^/]+", each.path), path))
        ]
        return set().union(*others) if others else BEFORE_ANY

    def _target(self, operation: Operation) -> str:
        path = operation.path
        query = []
        for each in operation.parameters:
            name = each["name"]
            if each["in"] == "path":
                shown = str(each.get("example", self._random.choice(IDS[:6])))
                value = self._random.choice(IDS) if self._chance(0.5) else shown
                path = path.replace(f"{{{name}}}", quote(value, safe="", errors="surrogatepass"))
            elif each["in"] == "query" and (each.get("required") or self._chance(0.25)):
                query.append((name, self._value_of(each)))
        if self._chance(0.05):
            query.append((self._random.choice(("surprise", "limit", "")), "1"))
        text = "&".join(
            f"{name}={quote(value, safe='', errors='surrogatepass')}" for name, value in query
        )
        return f"{path}?{text}" if text else path

    def _value_of(self, parameter: dict[str, Any]) -> str:
        schema = parameter.get("schema", {})
        fit = [str(value) for value in schema.get("enum", ())]
        if "example" in parameter:
            fit.append(str(parameter["example"]))
        return self._random.choice(fit if fit and self._chance(0.5) else TEXTS)

    def _body(self, operation: Operation) -> bytes:
        if not operation.bodies:
            return b"{}" if self._chance(0.05) else b""
        body = copy.deepcopy(self._random.choice(operation.bodies))
        for _ in range(self._random.choice((0, 1, 1, 2, 5))):
            body = self._mutated(body)
        text = json.dumps(body, ensure_ascii=self._chance(0.5))
        if self._chance(0.03):
            text = '{"a": 1, "a": 2, ' + text[1:]
        if self._chance(0.02):
            text = "[" * 5000 + text + "]" * 5000
        written = text.encode("utf-8", "surrogatepass")
        if self._chance(0.04):
            written = written[: self._random.randrange(len(written) + 1)]
        if self._chance(0.04):
            place = self._random.randrange(len(written) + 1)
            written = written[:place] + self._random.randbytes(3) + written[place:]
        return written

    def _mutated(self, value: Any) -> Any:
        """Change one thing somewhere in a JSON value."""
        inside = isinstance(value, dict | list) and value and not self._chance(0.2)
        if not inside:
            return copy.deepcopy(self._random.choice(VALUES))
        if isinstance(value, list):
            place = self._random.randrange(len(value))
            if self._chance(0.1):
                return value * self._random.choice((2, 50, 1500))
            return [*value[:place], self._mutated(value[place]), *value[place + 1 :]]
        name = self._random.choice(sorted(value))
        if self._chance(0.15):
            return {each: kept for each, kept in value.items() if each != name}
        if self._chance(0.1):
            return {**value, self._random.choice(TEXTS): self._random.choice(VALUES)}
        return {**value, name: self._mutated(value[name])}

    def _head(self, method: str, body: bytes) -> tuple[list[bytes], bytes]:
        head: list[tuple[str, str]] = []
        if not self._chance(0.03):
            bad = ("", "clm_x", "clm_aaaaaaaa_" + "b" * 32, "\xff", self._key[:-1])
            key = self._random.choice(bad) if self._chance(0.03) else self._key
            head.append(("Authorization", f"Bearer {key}"))
        for name, values in HEADERS.items():
            if self._chance(0.04):
                head.append((name, self._random.choice(values)))
        if body and not self._chance(0.05):
            form = self._random.choice(FORMS) if self._chance(0.06) else FORMS[0]
            head.append(("Content-Type", form))
        if self._chance(0.06):
            encoding = self._random.choice(ENCODINGS)
            head.append(("Content-Encoding", encoding))
            if "gzip" in encoding.lower() and self._chance(0.7):
                body = gzip.compress(body)
                body = body[: -self._random.choice((1, 4, 8))] if self._chance(0.2) else body
        if self._chance(0.01):
            head.append(("Expect", "100-continue"))
        lines = [f"{name}: {value}".encode("latin-1") for name, value in head]
        if body and self._chance(0.1):
            middle = len(body) // 2
            parts = [part for part in (body[:middle], body[middle:]) if part]
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
            return [*lines, b"Transfer-Encoding: chunked"], body
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(b"Content-Length: %d" % len(body))
        return lines, body


class Connection:
    """A plain connection, as clients refuse to send much of this."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, attempt: Attempt) -> int:
        """Return the status of the answer; 0 if the connection ended before there was one."""
        for _ in range(2):  # an idle connection may have been closed meanwhile
            fresh = self._reader is None
            if self._reader is None or self._writer is None:
                self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
            try:
                self._writer.write(attempt.raw)
                return await self._answer(self._reader, attempt.method)
            except (OSError, asyncio.IncompleteReadError):
                await self.close()
                if fresh:
                    return 0
        return 0

    async def _answer(self, reader: asyncio.StreamReader, method: str) -> int:
        status = 100
        while status < 200:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            status = int(head.split(" ", 2)[1])
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        if method != "HEAD" and status not in (204, 304):
            if fields.get("transfer-encoding") == "chunked":
                while size := int(await reader.readuntil(b"\r\n"), 16):
                    await reader.readexactly(size + 2)
                await reader.readexactly(2)
            else:
                await reader.readexactly(int(fields.get("content-length", "0")))
        if "close" in fields.get("connection", ""):
            await self.close()
        return status

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def storm(url: str, key: str, *, requests: int, seed: int, connections: int = 4) -> Tally:
    """Send mutated requests to a service, and say what became of them."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        document = (await client.get("/openapi.json")).json()
    attempts = Mutator(operations_of(document), key, seed).attempts(requests)
    address = urlsplit(url)
    tally = Tally()

    async def send() -> None:
        connection = Connection(str(address.hostname), address.port or 80)
        for attempt in attempts:
            async with asyncio.timeout(120):
                tally.count(attempt, await connection.ask(attempt))
        await connection.close()

    await asyncio.gather(*(send() for _ in range(connections)))
    return tally


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    started = time.monotonic()
    with running_service(worker=True) as service:
        tally = asyncio.run(
            storm(service.url, service.key, requests=asked.requests, seed=asked.seed)
        )
    for key, number in tally.wrong.most_common():
        sys.stdout.write(f"{number} times {key}: {tally.shown[key]!r}\n")
    sys.stdout.write(
        f"{tally.statuses.total()} requests of seed {asked.seed} in"
        f" {time.monotonic() - started:.0f} s: {dict(sorted(tally.statuses.items()))};"
        f" 5xx {tally.server_errors}, undeclared or unanswered"
        f" {tally.wrong.total() - tally.server_errors}\n"
    )
    sys.exit(bool(tally.wrong))


if __name__ == "__main__":
    main()
