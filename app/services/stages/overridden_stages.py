"""Where customers with overrides stand, at one instant.

They are few of those who are scored: one query finds them, and they alone are followed through
their history, which says whether the override still stands. All others are where rules put them.
"""

from collections.abc import Sequence
from datetime import datetime

from app.days import AsOf
from app.deployment import Deployment
from app.postgres.db import ReadSession, fetch_rows
from app.services.policies.policies import PolicyTimeline
from app.services.stages import following, overrides

FOLLOWED_AT_ONCE = 2_000
# Where the last override has ended, nothing stands.
_LAST = (
    "SELECT DISTINCT ON (customer_id) customer_id, least(stands_until, released_at) AS ends"
    " FROM stage_overrides WHERE set_at <= $1 AND {0}"
    " ORDER BY customer_id, set_at DESC, override_id DESC"
)
_OPEN = f"SELECT customer_id FROM ({_LAST}) AS last WHERE ends IS NULL OR ends > $1"  # noqa: S608  # no value of a caller
_ENDED = (
    "SELECT customer_id FROM stage_overrides WHERE customer_id > $1 AND customer_id <= $2"
    " AND stands_until > $3 AND stands_until <= $4"
)
_OF_RANGE = _OPEN.format("customer_id > $2 AND customer_id <= $3")
_OF_CUSTOMERS = _OPEN.format("customer_id = ANY($2::text[])")


async def of_range(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    as_of: AsOf,
    *,
    after: str,
    up_to: str,
) -> dict[str, str]:
    """Return the stages of those of a range, `after` < id <= `up_to`, who have overrides."""
    rows = await fetch_rows(session, _OF_RANGE, as_of.at, after, up_to)
    return await _follow(session, deployment, timeline, [row[0] for row in rows], as_of)


async def of_customers(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    as_of: AsOf,
    customer_ids: Sequence[str],
) -> dict[str, str]:
    """Return the stages of those with overrides among some customers."""
    rows = await fetch_rows(session, _OF_CUSTOMERS, as_of.at, list(customer_ids))
    return await _follow(session, deployment, timeline, [row[0] for row in rows], as_of)


async def ended(
    session: ReadSession, after: str, up_to: str, since: datetime, at: datetime
) -> set[str]:
    """Return whose override has ended since an instant, of those with `after` < id <= `up_to`."""
    return {row[0] for row in await fetch_rows(session, _ENDED, after, up_to, since, at)}


async def _follow(
    session: ReadSession,
    deployment: Deployment,
    timeline: PolicyTimeline,
    customer_ids: Sequence[str],
    as_of: AsOf,
) -> dict[str, str]:
    found: dict[str, str] = {}
    for start in range(0, len(customer_ids), FOLLOWED_AT_ONCE):
        ids = customer_ids[start : start + FOLLOWED_AT_ONCE]
        overridden = await overrides.of(session, deployment, ids)
        history = await following.follow_overridden(
            session, deployment, timeline, overridden, as_of
        )
        ends = history.last(len(overridden))
        found |= {
            customer_id: stage for customer_id, (stage, _) in zip(overridden, ends, strict=True)
        }
    return found
