"""Two releases on one database: the one before goes on while the next one migrates, or says no."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from app.postgres.embedded import EmbeddedPostgres
from app.postgres.schema import SchemaState, head, revisions
from tests import releases
from tests.prepared import reachable_folder
from tests.releases import CONTRACTION, EXPANSION, Release
from tests.service import free_port, wait_until_ready


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of an empty database."""
    with (
        reachable_folder() as folder,
        EmbeddedPostgres.start(folder / "data", throwaway=True) as server,
    ):
        yield server.url.replace("+asyncpg", "")


def fact(customer: str, name: str, **changes: object) -> dict[str, object]:
    return {
        "customer_id": customer,
        "transaction_id": name,
        "occurred_at": "2026-01-31T12:00:00Z",
        "amount": {"amount": "12.50"},
        **changes,
    }


class Callers:
    """Who write and read without a pause, and take no failure for an answer."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client, self.stopping = client, asyncio.Event()
        self.acknowledged: list[str] = []

    async def ask(
        self, method: str, path: str, body: object = None, key: str | None = None
    ) -> None:
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = await self.client.request(method, path, json=body, headers=headers)
        assert answer.is_success, f"{method} {path}: {answer.text}"

    async def go_on(self, name: str) -> None:
        turn = 0
        while not self.stopping.is_set():
            customer, sent = f"{name}-{turn % 7}", f"{name}-{turn}"
            await self.ask("POST", "/v1/transactions", fact(customer, sent), sent)
            self.acknowledged.append(sent)
            corrected = fact(customer, sent, revision=2, amount={"amount": "9.00"})
            await self.ask("POST", "/v1/transactions/bulk", {"items": [corrected]})
            await self.ask("PUT", f"/v1/customers/{customer}", {"name": sent})
            await self.ask("GET", f"/v1/customers/{customer}/scores")
            visit = {
                "customer_id": customer,
                "interaction_id": sent,
                "kind": "visit",
                "occurred_at": "2026-02-01T12:00:00Z",
            }
            await self.ask("POST", "/v1/interactions", visit)
            await self.ask("GET", "/v1/customers?limit=5")
            turn += 1


async def migrate(release: Release, url: str) -> str:
    """Migrate beside what is running; return the line that was said."""
    done = await asyncio.to_thread(release.run, "migrate", CLM_DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return done.stdout.strip()


def refused(release: Release, url: str, *words: str) -> str:
    """Run a command that must fail with a line; return the line."""
    done = release.run(*words, CLM_DATABASE_URL=url)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


async def test_the_release_before_serves_on_what_the_next_one_migrates_until_it_is_told(
    url: str, tmp_path: Path
) -> None:
    """Writes go on through a migration that expands; one that contracts is refused in words."""
    (tmp_path / "before").mkdir()
    before = releases.previous(tmp_path / "before")
    next_one = releases.after(tmp_path / "next", EXPANSION)
    later = releases.after(
        tmp_path / "later", EXPANSION | {"contraction": CONTRACTION}, serves=False
    )
    assert await migrate(before, url) == "the schema is the newest"
    made = before.run("keys", "create", "--name", "t", "--scopes", "admin", CLM_DATABASE_URL=url)
    port = free_port()
    words = ("serve", "--no-worker", "--port", str(port))
    settings = {"CLM_DATABASE_URL": url, "CLM_LOG_LEVEL": "ERROR"}
    address = f"http://127.0.0.1:{port}"
    api = before.start(*words, **settings)
    key = {"Authorization": f"Bearer {made.stdout.strip()}"}
    try:
        wait_until_ready(address, api)
        async with httpx.AsyncClient(base_url=address, headers=key, timeout=30) as client:
            callers = Callers(client)
            calling = asyncio.gather(*(callers.go_on(name) for name in "abcd"))
            assert await migrate(next_one, url) == "the schema is the newest"
            ready = await client.get("/readyz")
            assert ready.status_code == 200, ready.text
            so_far = len(callers.acknowledged)
            while len(callers.acknowledged) < so_far + 20 and not calling.done():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            callers.stopping.set()
            await calling
            assert await stored(url) == sorted(callers.acknowledged)
            await migrate(later, url)
            unready = await client.get("/readyz")
    finally:
        api.terminate()
        api.wait(30)
    assert unready.status_code == 503
    assert "run a newer version" in unready.json()["detail"]
    assert "run a newer version" in refused(before, url, *words)


async def stored(url: str) -> list[str]:
    """Return the ids of what is in force, all of which were corrected once."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT transaction_id, revision, amount FROM transactions")
    await connection.close()
    assert {(row["revision"], str(row["amount"])) for row in rows} == {(2, "9.0000")}
    return sorted(row["transaction_id"] for row in rows)


HEAD = head()
FIRST = next(iter(revisions()))


@pytest.mark.parametrize(
    ("revision", "oldest", "told"),
    [
        (HEAD, None, None),
        ("9999", HEAD, None),
        ("9999", FIRST, None),
        (None, None, "run `clm migrate` first"),
        (FIRST, FIRST, "run `clm migrate` first"),
        ("9999", None, "run a newer version"),
        ("9999", "9998", "serves revision 9998 and later ones: run a newer version"),
    ],
)
def test_a_release_works_on_its_schema_and_on_newer_ones_that_serve_it(
    revision: str | None, oldest: str | None, told: str | None
) -> None:
    fault = SchemaState(revision, oldest).fault
    if told is None:
        assert fault is None
    else:
        assert fault is not None
        assert told in fault
        assert f"at revision {revision}, this version needs {HEAD}" in fault


def test_no_revision_serves_a_release_that_the_one_before_it_does_not_serve() -> None:
    line = list(revisions())
    served = [line.index(oldest) for oldest in revisions().values()]
    assert served == sorted(served)
    assert all(oldest <= place for place, oldest in enumerate(served))
