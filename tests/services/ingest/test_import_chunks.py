"""A file in chunks: the same outcomes however it is cut, and wherever it is gone on with."""

import pytest

from app.mappings.applying import Outcome
from app.mappings.compiling import Context, Plan, compile_mapping, parse
from app.mappings.detection import detect
from app.services.ingest.imports import chunks
from app.services.ingest.imports.chunks import OpenFile
from tests.api.test_imports import MAPPING

ROWS = [
    f"O-{order},c-{order % 7},2026-01-{1 + order % 28:02} 12:00,{amount},"
    f"{'test' if order % 11 == 0 else 'paid'}\n"
    for order in range(60)
    for amount in (("?",) if order % 13 == 0 else ("1.50", "2.25", "-1.00")[: 1 + order % 3])
]
CONTENT = ("order_id,customer,ordered_at,amount,status\n" + "".join(ROWS)).encode()
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


@pytest.fixture(params=[MAPPING, LINES], ids=["rows", "orders"])
def plan(request: pytest.FixtureRequest) -> Plan:
    return compile_mapping(parse(request.param), detect(CONTENT), Context("EUR"))


def next_chunk(file: OpenFile) -> list[Outcome]:
    """Return the next outcomes as a worker takes them."""
    if not file.ended:
        file.go_on()
    while file.wants_bytes:
        file.feed(CONTENT[file.position : file.position + PIECE])
    return file.take()


def read(plan: Plan, size: int, monkeypatch: pytest.MonkeyPatch, *, anew: bool) -> list[Outcome]:
    """Return all outcomes of a file; `anew`: from what was committed, after each chunk."""
    monkeypatch.setattr(chunks, "FIRST_CHUNK", size)
    file, found = OpenFile(plan, 0, 0), list[Outcome]()
    while not file.ended:
        found += next_chunk(file)
        if anew and not file.ended:
            file = OpenFile(plan, file.skip, file.drop)
    assert file.error is None
    return found


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("anew", [False, True])
def test_chunks_of_any_size_come_to_the_same(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, size: int, anew: bool
) -> None:
    whole = read(plan, 10_000, monkeypatch, anew=False)
    assert sum(len(outcome.rows) for outcome in whole) == len(ROWS)
    assert read(plan, size, monkeypatch, anew=anew) == whole


def test_a_chunk_grows_while_it_is_quick_and_shrinks_when_it_is_not(plan: Plan) -> None:
    file = OpenFile(plan, 0, 0)
    begun = file.chunk
    file.learn(chunks.QUICK_SECONDS / 2)
    assert file.chunk == 2 * begun
    for _ in range(20):
        file.learn(chunks.SLOW_SECONDS * 2)
    assert file.chunk == chunks.SMALLEST_CHUNK
