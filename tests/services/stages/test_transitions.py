"""When a row of the ledger says what follows from the facts, in whichever digits."""

import json
import random

from sqlalchemy import text

from app.postgres.db import ReadSession
from app.services.stages.transitions import _may_say_the_same

NUMBERS = ("0", "-0", "7", "-10", "1e+20", "-3.2e-07", "1.5", "1.50", "0.10", "12.0", "100", "null")


async def test_evidence_that_is_not_read_as_json_is_written_as_the_database_has_it(
    session: ReadSession,
) -> None:
    rng = random.Random(5)
    drawn = [f"{rng.uniform(-1, 1) * 10 ** rng.randint(-12, 15):.10g}" for _ in range(300)]
    kept = [
        await session.scalar(text("SELECT CAST(CAST(:said AS jsonb) AS text)"), {"said": written})
        for number in (*NUMBERS, *drawn)
        for written in [f'{{"kind": "visit", "revenue": {number}}}']
    ]
    for stored in kept:
        for number in (*NUMBERS, *drawn):
            written = f'{{"kind": "visit", "revenue": {number}}}'
            if stored != written and json.loads(stored) == json.loads(written):
                assert _may_say_the_same(stored, written), (stored, written)


def test_whole_numbers_that_differ_are_told_apart_as_texts() -> None:
    assert not _may_say_the_same('{"purchase_days": 5}', '{"purchase_days": 6}')
