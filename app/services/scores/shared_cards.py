"""Score cards that are asked for at the same moment, made together."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from app.days import AsOf
from app.deployment import Deployment
from app.postgres.db import Database, ReadSession
from app.schemas.common import personal
from app.services.common.microbatches import MicroBatches
from app.services.models.clv_terms import GivenTerms
from app.services.scores import cards
from app.services.stages import customer_snapshots


class Question(NamedTuple):
    """What cards have in common that are made together; without `as_of` they are of now."""

    as_of: AsOf | None
    horizon_days: int | None
    terms: GivenTerms
    tells_segments: bool


class Asked(NamedTuple):
    """Whose card is asked for, and when."""

    customer_id: str
    at: datetime


SharedCards = MicroBatches[Question, Asked, bytes]


def share(database: Database, deployment: Deployment) -> SharedCards:
    """Return what answers all who ask for cards of one process."""

    async def answer(question: Question, asked: Sequence[Asked]) -> Sequence[bytes | Exception]:
        # Of the last who asked: what anybody had written before he asked has happened by then.
        now = max(each.at for each in asked)
        ids = list(dict.fromkeys(each.customer_id for each in asked))
        async with database.reads() as session:
            found = await cards.of_customers(
                ReadSession(session),
                deployment,
                ids,
                as_of=question.as_of or deployment.as_of(now),
                horizon_days=question.horizon_days,
                asked=question.terms,
                tells_segments=question.tells_segments,
                now=now,
                pointer="query:",
            )
        made = found.cards
        return [
            made[each.customer_id]
            if each.customer_id in made
            else customer_snapshots.unknown(each.customer_id)
            for each in asked
        ]

    return MicroBatches(answer)


async def get(
    shared: SharedCards,
    customer_id: str,
    *,
    as_of: AsOf,
    horizon_days: int | None,
    terms: GivenTerms,
    now: datetime,
) -> bytes:
    """Return a score card in JSON; horizon and terms are those of the model if None."""
    question = Question(None if as_of.is_now else as_of, horizon_days, terms, personal.is_shown())
    return await shared.ask(question, Asked(customer_id, now))
