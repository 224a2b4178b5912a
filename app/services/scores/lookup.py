"""Live score cards of many customers, computed at once and written as JSON one by one."""

from datetime import datetime

from app.db import ReadSession
from app.deployment import Deployment
from app.schemas.common.encoding import to_json
from app.schemas.scores.lists import LookupRequest
from app.services.common import as_of as as_ofs
from app.services.common import deployment_settings, threads
from app.services.models import clv_terms, given_cuts, model_responses, model_store
from app.services.policies import policies
from app.services.scores import cards, model_scores
from app.services.stages import next_actions, placement, why_churned


async def find(
    session: ReadSession, deployment: Deployment, request: LookupRequest, now: datetime
) -> bytes:
    """Return what `cards.get` answers for each of the customers, in the order of the request."""
    as_of = as_ofs.parse(request.as_of, deployment, now, pointer="/as_of")
    ids = list(dict.fromkeys(request.customer_ids))
    active = await deployment_settings.pointers(session)
    timeline = await policies.timeline(session, active.timeline)
    given = given_cuts.read(deployment, request.rfm_cuts)
    model = None if active.model_id is None else await model_store.load(session, active.model_id)
    model = model and model.with_cuts(given)
    terms = clv_terms.of_question(model, request)
    placed = await placement.of_customers(
        session,
        deployment,
        timeline,
        as_of,
        ids,
        gap_days=None if model is None else model.gap_days,
    )
    actions = await next_actions.of_placement(session, deployment, placed)
    scored = await model_scores.score(session, model, placed, request.horizon_days, terms=terms)
    made = await threads.compute(len(placed), cards.cards, deployment, placed, scored)
    alike = to_json(cards.common(model, placed, now))[1:]
    why = await why_churned.of_placement(session, deployment, timeline, placed)
    found = {}
    async for card, own in threads.in_turns(zip(made, actions, strict=True)):
        record = why.get(card["customer_id"])
        written = to_json(card | {"next_actions": own, "churn_record": record})
        found[card["customer_id"]] = b"%b,%b" % (written[:-1], alike)
    items = b",".join([found[customer_id] for customer_id in ids if customer_id in found])
    rest = {
        "unknown": [customer_id for customer_id in ids if customer_id not in found],
        "rfm_cuts": model and model_responses.cuts_of(deployment, model),
        "as_of": as_of.at,
        "computed_at": now,
    }
    return b'{"items":[%b],%b' % (items, to_json(rest)[1:])
