"""Live score cards of many customers, made at once."""

from datetime import datetime

from app.deployment import Deployment
from app.postgres.db import ReadSession
from app.schemas.common import personal
from app.schemas.common.encoding import to_json
from app.schemas.scores.lists import LookupRequest
from app.services.common import as_of as as_ofs
from app.services.models import given_cuts, model_responses
from app.services.scores import cards


async def find(
    session: ReadSession, deployment: Deployment, request: LookupRequest, now: datetime
) -> bytes:
    """Return the card of each of the customers in JSON, in the order of the request."""
    as_of = as_ofs.parse(request.as_of, deployment, now, pointer="/as_of")
    ids = list(dict.fromkeys(request.customer_ids))
    answered = await cards.of_customers(
        session,
        deployment,
        ids,
        as_of=as_of,
        horizon_days=request.horizon_days,
        asked=request,
        now=now,
        tells_segments=personal.is_shown(),
        rfm_cuts=given_cuts.read(deployment, request.rfm_cuts),
    )
    found, model = answered.cards, answered.model
    items = b",".join([found[customer_id] for customer_id in ids if customer_id in found])
    rest = {
        "unknown": [customer_id for customer_id in ids if customer_id not in found],
        "rfm_cuts": model and model_responses.cuts_of(deployment, model),
        "as_of": as_of.at,
        "computed_at": now,
    }
    return b'{"items":[%b],%b' % (items, to_json(rest)[1:])
