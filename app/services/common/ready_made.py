"""What every database begins with: the core kinds of interactions, and the ready policies."""

from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from app.lifecycle import documents, kinds
from app.lifecycle.kinds import Kinds
from app.lifecycle.presets import PRESETS
from app.lifecycle.presets.kinds import CORE_KINDS, scale_of_answers
from app.models import Interaction, InteractionKind, Policy
from app.postgres.db import WriteSession


async def add(session: WriteSession, now: datetime, last_policy: int) -> None:
    """Store what is not there yet; what somebody has declared stays.

    No policy gets a number up to the last that any has had.
    """
    await _add_presets(session, await _add_kinds(session, now), now, last_policy)


async def _add_kinds(session: WriteSession, now: datetime) -> Kinds:
    """Declare the core kinds; return all that are declared."""
    known = set(await session.scalars(select(InteractionKind.kind)))
    new = {word: each for word, each in CORE_KINDS.items() if word not in known}
    for word, each in new.items():
        if each["scale"] is not None:
            new[word] = {**each, "scale": await _scale_so_far(session, word)}
    rows = [{"kind": word, **each, "version": 1, "updated_at": now} for word, each in new.items()]
    if rows:
        await session.execute(insert(InteractionKind).values(rows).on_conflict_do_nothing())
    columns = InteractionKind.__table__.columns
    declared = (await session.execute(select(*columns))).mappings()
    return kinds.read({row["kind"]: dict(row) for row in declared})


async def _scale_so_far(session: WriteSession, word: str) -> dict[str, float]:
    """Return the scale of the answers that were given before scales were declared.

    A kind that is known for its own scale keeps that, if all answers so far fit on it.
    """
    ends = select(func.min(Interaction.score), func.max(Interaction.score))
    least, best = (await session.execute(ends.where(Interaction.kind == word))).one()
    usual: dict[str, float] = CORE_KINDS[word]["scale"]
    if least is None or best is None:
        return usual
    fits = usual["min"] <= least and best <= usual["max"]
    return usual if fits and word != "survey" else scale_of_answers(least, best)


async def _add_presets(
    session: WriteSession, declared: Kinds, now: datetime, last_policy: int
) -> None:
    """Store the ready policies that are not there yet, each as a version of its own."""
    stored = (await session.execute(select(*Policy.__table__.columns))).all()
    known = {row.preset: row for row in stored}
    # Version 1 is the default, by whichever notation it was written first.
    versions = [row.version for row in stored]
    version = max([last_policy, *versions]) if 1 in versions else 0
    for preset, document in PRESETS.items():
        read = documents.restore(0, document, declared).kinds_read
        written = {"document": document, "interaction_kinds": kinds.copy_of(declared, read)}
        if preset not in known:
            version += 1
            values = {"version": version, "preset": preset, "created_at": now, **written}
            await session.execute(insert(Policy).values(values).on_conflict_do_nothing())
        elif _says_otherwise(known[preset].document, known[preset].interaction_kinds, document):
            await session.execute(update(Policy).where(Policy.preset == preset).values(written))


def _says_otherwise(
    stored: dict[str, object], copied: dict[str, object] | None, document: dict[str, object]
) -> bool:
    """Say whether a preset is from before kinds were declared, and puts everybody where it did.

    Its actions then know scales, too; nobody's stage follows from them.
    """
    decides = ("rules", "inactivity_limit", "transitions")
    return copied is None and all(stored.get(name) == document.get(name) for name in decides)
