"""A file in chunks: the same outcomes however it is cut, and wherever it is gone on with."""

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial

import pytest

from app.mappings.applying import Mapped, Outcome
from app.mappings.compiling import Context, Plan, compile_mapping, parse
from app.mappings.detection import detect
from app.mappings.rows import BadRow, Row
from app.services.ingest.imports import chunks, windows
from app.services.ingest.imports.chunks import Checkpoint, OpenFile
from tests.api.test_imports import MAPPING

ROWS = [
    f"O-{order},c-{order % 7},2026-01-{1 + order % 28:02} 12:00,{amount},"
    f"{'test' if order % 11 == 0 else 'paid'}\n"
    for order in range(60)
    for amount in (("?",) if order % 13 == 0 else ("1.50", "2.25", "-1.00")[: 1 + order % 3])
]
ODD = 'O-60,"c-\n1",2026-01-01 12:00,1.00,paid\nO-61,c-1,too,many,fields,here\n\nO-62,,,1,\r\n'
CONTENT = (
    "order_id,customer,ordered_at,amount,status\n"
    + "".join(ROWS[:50])
    + ODD
    + "".join(ROWS[50:])
    + "O-70,c-3,2026-01-02 12:00,8.00,paid"
).encode()
LINES = {
    **MAPPING,
    "group": {"by": ["order_id"]},
    "facts": [
        {
            **MAPPING["facts"][0],
            "fields": {
                **MAPPING["facts"][0]["fields"],
                "amount": {"column": "amount", "across": "sum"},
            },
        }
    ],
}
PIECE = 700
OBJECTS = [
    json.dumps(
        {"order_id": f"O-{n}", "customer": f"c-{n % 7}", "amount": "?" if n % 13 == 0 else n,
         "ordered_at": f"2026-01-{1 + n % 28:02} 12:00", "status": "paid", "é": {"no": [n, 1.50]}},
        ensure_ascii=n % 2 == 0,
    )
    for n in range(60)
]  # fmt: skip
NDJSON = "\n".join([*OBJECTS[:30], "no object", "", "[1]", *OBJECTS[30:]]).encode()
ANSWER = f"[\n{', '.join(OBJECTS)}]".encode()
BEGINNING = Checkpoint(0, 0)


@pytest.fixture(params=[MAPPING, LINES], ids=["rows", "orders"])
def plan(request: pytest.FixtureRequest) -> Plan:
    return compile_mapping(parse(request.param), detect(CONTENT), Context("EUR"))


async def piece(position: int, content: bytes = CONTENT) -> bytes:
    return content[position : position + PIECE]


class Outcomes:
    """Takes outcomes as they are."""

    def of_outcomes(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        return list(outcomes)

    def of_rows(
        self, rows: Iterable[Row | BadRow], feed: Callable[[Row | BadRow], Iterable[Outcome]]
    ) -> list[Outcome]:
        return [outcome for row in rows for outcome in feed(row)]


def opened(plan: Plan, checkpoint: Checkpoint, size: int = 0) -> OpenFile[list[Outcome]]:
    return OpenFile(plan, Checkpoint.of(checkpoint.as_json()), Outcomes(), size or len(CONTENT))


async def read(plan: Plan, *, anew: bool, content: bytes = CONTENT) -> list[Outcome]:
    """Return all outcomes of a file; `anew`: from what was committed, after each chunk."""
    file, found, ended = opened(plan, BEGINNING, len(content)), list[Outcome](), False
    position = 0
    while not ended:
        chunk = await file.next(partial(piece, content=content))
        assert chunk.error is None
        assert position <= chunk.position <= len(content)
        found, ended, position = found + chunk.ready, chunk.ended, chunk.position
        if anew and not ended:
            file, position = opened(plan, chunk.checkpoint, len(content)), 0
    return found


def in_order(outcomes: list[Outcome]) -> list[Outcome]:
    return sorted(outcomes, key=lambda outcome: outcome.rows[0].row)


def by_customer(outcomes: list[Outcome]) -> dict[str, list[Outcome]]:
    found = defaultdict[str, list[Outcome]](list)
    for outcome in outcomes:
        if isinstance(outcome, Mapped):
            found[outcome.facts[0].item["customer_id"]].append(outcome)
    return found


@pytest.mark.parametrize("content", [NDJSON, ANSWER], ids=["lines", "answer"])
@pytest.mark.parametrize("anew", [False, True])
async def test_windows_of_objects_come_to_the_same(
    monkeypatch: pytest.MonkeyPatch, content: bytes, anew: bool
) -> None:
    plan = compile_mapping(parse(MAPPING), detect(content), Context("EUR"))
    whole = await read(plan, anew=False, content=content)
    assert len(whole) == len(OBJECTS) + (2 if content is NDJSON else 0)
    monkeypatch.setattr(chunks, "FIRST_CHUNK", 4)
    monkeypatch.setattr(windows, "BYTES", 2_500)
    found = await read(plan, anew=anew, content=content)
    assert found != whole
    assert in_order(found) == in_order(whole)
    assert by_customer(found) == by_customer(in_order(whole))


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("window", [1, 400, 10_000])
@pytest.mark.parametrize("anew", [False, True])
async def test_chunks_and_windows_of_any_size_come_to_the_same(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, size: int, window: int, anew: bool
) -> None:
    whole = await read(plan, anew=False)
    assert sum(len(outcome.rows) for outcome in whole) == len(ROWS) + 4
    monkeypatch.setattr(chunks, "FIRST_CHUNK", size)
    monkeypatch.setattr(windows, "BYTES", window)
    found = await read(plan, anew=anew)
    assert in_order(found) == in_order(whole)
    assert by_customer(found) == by_customer(in_order(whole))


async def test_rows_of_a_customer_are_written_together(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "FIRST_CHUNK", 1)
    found = [
        outcome.facts[0].item["customer_id"]
        for outcome in (await read(plan, anew=False))[1:]
        if isinstance(outcome, Mapped)
    ]
    changes = sum(one != other for one, other in itertools.pairwise(found))
    assert (changes == len(set(found)) - 1) == (plan.owner is not None)


@pytest.mark.parametrize("most", [1_000, 1_800, 2_900, 4_000])
async def test_no_window_is_cut_short_by_the_end_of_the_file(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    plan = compile_mapping(parse(MAPPING), detect(CONTENT), Context("EUR"))
    monkeypatch.setattr(chunks, "FIRST_CHUNK", 2)
    monkeypatch.setattr(windows, "BYTES", most)
    file, ends, ended = opened(plan, BEGINNING), list[int](), False
    while not ended:
        chunk = await file.next(piece)
        ended = chunk.ended
        if chunk.checkpoint.order == 0 or ended:
            ends.append(chunk.checkpoint.skip)
    rows = [end - begin for begin, end in itertools.pairwise(ends)]
    assert len(rows) == -(-len(CONTENT) // most)
    assert min(rows) > 0.7 * max(rows), rows


async def test_what_another_order_has_written_of_a_window_is_written_again() -> None:
    plan = compile_mapping(parse(MAPPING), detect(CONTENT), Context("EUR"))
    file = opened(plan, Checkpoint(20, 15, windows.ORDER + 1))
    chunk = await file.next(piece)
    assert len(chunk.ready) == len(ROWS) + 4 - 20


def test_a_chunk_grows_while_it_is_quick_and_shrinks_when_it_is_not(plan: Plan) -> None:
    file = opened(plan, BEGINNING)
    begun = file.chunk
    file.learn(chunks.QUICK_SECONDS / 2)
    assert file.chunk == 2 * begun
    for _ in range(20):
        file.learn(chunks.SLOW_SECONDS * 2)
    assert file.chunk == chunks.SMALLEST_CHUNK
