"""Live score cards of many customers, computed at once."""

from datetime import datetime
from typing import Any

from app.db import ReadSession
from app.deployment import Deployment
from app.schemas.score_lists import LookupRequest
from app.services import as_of as as_ofs
from app.services import (
    models,
    next_actions,
    placement,
    policies,
    score_cards,
    scores,
    settings,
    threads,
)


async def find(
    session: ReadSession, here: Deployment, request: LookupRequest, now: datetime
) -> dict[str, Any]:
    """Return what `scores.get` answers for each of the customers, in the order of the request."""
    as_of = as_ofs.parse(request.as_of, here, now, pointer="/as_of")
    ids = list(dict.fromkeys(request.customer_ids))
    active = await settings.pointers(session)
    timeline = await policies.regime(session, active.regime)
    model = None if active.model_id is None else await models.load(session, active.model_id)
    placed = await placement.of_customers(
        session, here, timeline, as_of, ids, gap_days=None if model is None else model.gap_days
    )
    actions = await next_actions.of_placement(session, here, placed)
    scored = await score_cards.score(session, model, placed, request.horizon_days)
    made = await threads.compute(len(placed), scores.cards, here, placed, scored)
    common = scores.common(model, placed, now)
    found = {
        card["customer_id"]: card | common | {"next_actions": own}
        for card, own in zip(made, actions, strict=True)
    }
    return {
        "items": [found[each] for each in ids if each in found],
        "unknown": [each for each in ids if each not in found],
        "as_of": as_of.at,
        "computed_at": now,
    }
