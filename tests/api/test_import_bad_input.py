"""Files that are torn, endless, too large or full of what no row may hold."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from backports import zstd
from sqlalchemy import text

from app.config import Settings
from app.edge.exports import Imports
from app.edge.intake import PACE, ClientLeftError, InPace
from app.errors import ImportsBusy, RequestTimeout
from app.postgres.db import Database
from app.services.operations import housekeeping
from tests.api.test_imports import HEADER, MAPPING, ORDERS, done, mapped, send, worker  # noqa: F401
from tests.database import NOW, Clock, make_client, writing

GOOD = "G-1,c-1,2026-01-31 12:00,1.00,paid\n"


async def left(database: Database) -> list[int]:
    """Return how many rows there are of files."""
    tables = "imports", "import_pieces", "import_rejections"
    async with database.reads() as session:
        return [await session.scalar(text(f"SELECT count(*) FROM {each}")) for each in tables]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (f"B-1,c-1,2026-01-31 12:00,1.00,{'x' * 1_000_000}\n", "field_too_long"),
        ("B-1,c-\x00,2026-01-31 12:00,1.00,paid\n", "nul"),
        ("B-1,c-1,2026-01-31 12:00\n", "ragged"),
        ("B-1,c-1,2026-01-31 12:00,1.00,paid,more,and more\n", "ragged"),
        ("B-1,c-1,2026-02-30 12:00,1.00,paid\n", "not_a_time"),
        ("B-1,=1+1\\,c-1,2026-01-31 12:00,=2*3,paid\n", None),
        ("B-1,c-1,2026-01-31 12:00,1e3000,paid\n", None),
        ("B-1,c/1,2026-01-31 12:00,1.00,paid\n", None),
        (f"{'B' * 200},c-1,2026-01-31 12:00,1.00,paid\n", None),
        ("B-1,c-1,2199-01-31 12:00,1.00,paid\n", "future"),
    ],
)
async def test_a_row_that_is_none_is_refused_alone(
    mapped: httpx.AsyncClient,  # noqa: F811
    worker: Any,  # noqa: F811
    row: str,
    code: str | None,
) -> None:
    content = HEADER + GOOD + row + GOOD.replace("G-1", "G-2")
    shown = await done(worker, mapped, await send(mapped, content))
    assert shown["state"] == "succeeded"
    totals = shown["totals"]
    assert (totals["mapped_rows"], totals["rejected_rows"]) == (2, 1), totals
    if code is not None:
        assert totals["rejections"][0]["code"] == code, totals["rejections"]
    refused = await mapped.get(f"/v1/imports/{shown['id']}/rejected")
    assert refused.status_code == 200
    assert "clm_reason" in refused.text.splitlines()[0]


async def test_a_title_above_the_header_is_said_and_stays_in_the_file_of_refused_rows(
    mapped: httpx.AsyncClient,  # noqa: F811
    worker: Any,  # noqa: F811
) -> None:
    content = "Orders of 2026\n\n" + ORDERS
    answer = await send(mapped, content)
    assert answer.json()["errors"][0]["code"] == "title_lines", answer.text
    proposed = (await mapped.post("/v1/mappings/propose", json={"sample": content})).json()
    asked = {each["parameter"]: each["assumed"] for each in proposed["questions"]}
    assert asked["/file/skip_lines"] == 2
    said = {"file": '{"skip_lines": 2}'}
    shown = await done(worker, mapped, await send(mapped, content, **said))
    totals = shown["totals"]
    assert (totals["rows"], totals["rejections"][0]["first_line"]) == (6, 6)
    refused = (await mapped.get(f"/v1/imports/{shown['id']}/rejected")).text
    assert refused.startswith("Orders of 2026\n\norder_id,")
    mended = refused.replace(",abc,", ",30.00,").replace('"7,5"', "7.50")
    shown = await done(worker, mapped, await send(mapped, mended, **said))
    assert (shown["totals"]["mapped_rows"], shown["totals"]["rejected_rows"]) == (2, 0)


async def test_line_ends_and_a_byte_order_mark_do_not_matter(
    mapped: httpx.AsyncClient,  # noqa: F811
    worker: Any,  # noqa: F811
) -> None:
    content = "\ufeff" + ORDERS.replace("\n", "\r\n", 3)
    shown = await done(worker, mapped, await send(mapped, content))
    assert shown["totals"]["mapped_rows"] == 3


async def test_a_file_is_refused_where_it_grows_beyond_the_limit(
    settings: Settings, own_database: Database, clock: Clock
) -> None:
    few = settings.model_copy(update={"import_limit": 1_000_000})
    async with await make_client(few, own_database, clock) as client:
        bomb = gzip.compress(b"\0" * 50_000_000)
        answer = await client.post("/v1/imports?preset=stages", content=bomb)
        assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
        endless = zstd.compress(b"\0" * 300_000_000)
        many = settings.model_copy(update={"import_limit": 10_000_000_000})
        async with await make_client(many, own_database, clock) as client:
            answer = await client.post("/v1/imports?preset=stages", content=endless)
        assert answer.json()["errors"][0]["code"] == "decompression_bomb"
    assert await left(own_database) == [0, 0, 0]


async def test_a_file_in_another_encoding_is_refused_by_its_head(
    mapped: httpx.AsyncClient,  # noqa: F811
) -> None:
    headers = {"Content-Encoding": "br"}
    answer = await mapped.post("/v1/imports?mapping=shop", content=b"x", headers=headers)
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip, zstd")


async def test_whoever_leaves_amid_a_file_leaves_nothing(
    mapped: httpx.AsyncClient,  # noqa: F811
    own_database: Database,
) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        raise ConnectionError

    answer = await mapped.post("/v1/imports?mapping=shop", content=breaking())
    assert answer.is_server_error
    assert await left(own_database) == [0, 0, 0]


async def test_a_key_for_repeating_does_not_have_a_file_read_into_memory(
    mapped: httpx.AsyncClient,  # noqa: F811
) -> None:
    headers = {"Idempotency-Key": "one"}
    for _ in range(2):
        answer = await mapped.post(
            "/v1/imports?mapping=shop", content=ORDERS.encode(), headers=headers
        )
        assert (answer.status_code, "idempotent-replayed" in answer.headers) == (202, False)


def receiving(messages: list[dict[str, Any]], pause: float) -> Any:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        return messages.pop(0)

    return receive


async def read_all(body: InPace) -> None:
    while (await body())["more_body"]:
        pass


async def test_a_file_must_arrive_in_pace_and_may_take_as_long_as_it_is() -> None:
    piece = {"type": "http.request", "body": b"x" * PACE, "more_body": True}
    steady = InPace(receiving([dict(piece) for _ in range(8)], 0.01), 10)
    for _ in range(8):
        await steady()
    slow = InPace(receiving([{**piece, "body": b"x"} for _ in range(999)], 0.01), 0.1)
    with pytest.raises(RequestTimeout):
        await read_all(slow)
    with pytest.raises(ClientLeftError):
        await InPace(receiving([{"type": "http.disconnect"}], 0), 1)()


def test_few_files_are_on_their_way_at_once() -> None:
    places = Imports(1)
    with places.slot(), pytest.raises(ImportsBusy), places.slot():
        pass
    with places.slot():
        pass


async def test_files_go_a_while_after_their_import_and_refused_rows_with_the_operation(
    mapped: httpx.AsyncClient,  # noqa: F811
    worker: Any,  # noqa: F811
    own_database: Database,
) -> None:
    await done(worker, mapped, await send(mapped, ORDERS))
    async with own_database.writes() as session, session.begin():
        await session.execute(
            text("UPDATE operations SET finished_at = :now, created_at = :now"), {"now": NOW}
        )
        await session.execute(text("UPDATE imports SET created_at = :now"), {"now": NOW})

    async def sweep(later: timedelta, kept: timedelta | None = timedelta(days=1)) -> list[int]:
        async with own_database.writes() as session, session.begin():
            await housekeeping.sweep(writing(session), NOW + later, import_kept=kept)
        return await left(own_database)

    assert await sweep(timedelta(hours=23)) == [1, 1, 2]
    assert await sweep(timedelta(hours=25), kept=None) == [1, 1, 2]
    assert await sweep(timedelta(hours=25)) == [1, 0, 2]
    assert await sweep(timedelta(days=31)) == [0, 0, 0]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (gzip.compress(ORDERS.encode())[:-12], "gzip"),
        (zstd.compress(ORDERS.encode())[:-6], "zstd"),
        (b"A-1,c-1,2026-01-31 12:00,1.00,paid\n" * 3, "missing_header"),
        (("order_id," + ORDERS).encode(), "double_header"),
        (ORDERS.replace(",", ";").encode(), "wrong_delimiter"),
    ],
)
async def test_a_file_that_is_none_is_refused_whole(
    mapped: httpx.AsyncClient,  # noqa: F811
    own_database: Database,
    content: bytes,
    code: str,
) -> None:
    form = {"file": '{"delimiter":","}'} if code == "wrong_delimiter" else {}
    answer = await mapped.post("/v1/imports", params={"mapping": "shop", **form}, content=content)
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["errors"][0]["code"] == code
    assert await left(own_database) == [0, 0, 0]


async def test_a_mapping_that_names_no_column_of_the_file_is_refused_whole(
    mapped: httpx.AsyncClient,  # noqa: F811
    own_database: Database,
) -> None:
    answer = await send(mapped, ORDERS.replace("ordered_at", "placed_at", 1))
    fault = answer.json()["errors"][0]
    assert (answer.status_code, fault["code"]) == (422, "unknown_column")
    assert fault["pointer"].endswith("/occurred_at/column")
    assert await left(own_database) == [0, 0, 0]


async def test_hours_that_come_twice_or_never_are_told_by_the_rule_of_the_mapping(
    mapped: httpx.AsyncClient,  # noqa: F811
    worker: Any,  # noqa: F811
) -> None:
    strict = {**MAPPING, "times": {"zone": "Europe/Berlin", "ambiguous": "reject",
                                   "skipped": "reject"}}  # fmt: skip
    await mapped.put("/v1/mappings/strict", json={"document": strict})
    rows = ["H-1,h-1,2026-03-29 02:30,1.00,paid", "H-2,h-1,2026-10-25 02:30,1.00,paid"]
    content = HEADER + "".join(f"{row}\n" for row in rows)
    shown = await done(worker, mapped, await send(mapped, content, mapping="strict"))
    assert shown["totals"]["rejected_rows"] == 2
    assert {each["code"] for each in shown["totals"]["rejections"]} == {
        "skipped_time", "ambiguous_time",
    }  # fmt: skip
    await done(worker, mapped, await send(mapped, content))
    listed = (await mapped.get("/v1/customers/h-1/transactions")).json()["items"]
    assert [each["occurred_at"] for each in listed] == [
        "2026-10-25T00:30:00Z", "2026-03-29T01:30:00Z",
    ]  # fmt: skip
