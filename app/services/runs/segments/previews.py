"""What a segment would become: who would enter and leave, and what they are worth."""

from datetime import datetime
from typing import Any

from app.deployment import Deployment
from app.postgres.db import ReadSession
from app.schemas.queries import CustomerQuery
from app.schemas.segments import SegmentIn
from app.services.common import deployment_settings
from app.services.runs import queries
from app.services.runs.query_rules import SCORES, May
from app.services.runs.segments import changes, definitions
from app.services.runs.segments.definitions import Definition

SHOWN = 10


async def preview(
    session: ReadSession,
    deployment: Deployment,
    code: str,
    asked: SegmentIn,
    *,
    secret: bytes,
    now: datetime,
    may: May,
) -> dict[str, Any] | None:
    """Count who would enter and leave if a segment were declared to be this; change nothing.

    None where it takes a worker: what to ask it, `in_groups` says.
    """
    pointers = await deployment_settings.pointers(session)
    known = (await definitions.named(session, pointers.segments)).by_code
    before = known.get(code)
    version = 1 if before is None else before.version + 1
    after = Definition(code, version, asked.model_dump(exclude_none=True))
    await changes.check(session, after)
    rules: dict[str, Any] = {"before": None, "after": after.rule, "enter": after.rule}
    rules["leave"] = None
    if before is not None:
        own = {"segment": code}
        rules["before"] = own
        rules["enter"] = {"all": [after.rule, {"not": own}]}
        rules["leave"] = {"all": [own, {"not": after.rule}]}
    told: dict[str, Any] = dict.fromkeys(rules)
    for name, rule in rules.items():
        if rule is not None:
            told[name] = await _count(session, deployment, rule, secret=secret, now=now, may=may)
            if told[name] is None:
                return None
    return {
        "code": code,
        "version": None if before is None else before.version,
        "as_of": now,
        "run_id": pointers.run_id,
        **told,
    }


async def _count(
    session: ReadSession, deployment: Deployment, rule: Any, **more: Any
) -> dict[str, Any] | None:
    asked = CustomerQuery(when=rule, count=True, limit=SHOWN)
    found = await queries.search(session, deployment, asked, **more)
    if found is None:
        return None
    ids = [item["customer_id"] for item in found["items"]]
    return {**found["count"], "sample": ids}


async def in_groups(
    session: ReadSession, code: str, asked: SegmentIn, *, may: May
) -> dict[str, Any]:
    """Return the aggregate that counts who would be inside, and who of them is so now."""
    pointers = await deployment_settings.pointers(session)
    known = (await definitions.named(session, pointers.segments)).by_code
    after = Definition(code, 1, asked.model_dump(exclude_none=True))
    own = [{"when": {"segment": code}}] if code in known else []
    money = ["revenue", *(("clv", "value_to_save") if may(SCORES) else ())]
    return {
        "by": [{"when": after.rule}, *own],
        "measures": [{"kind": "sum", "of": name} for name in money],
    }
