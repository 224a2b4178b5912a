"""Why the churn risk of a customer changed between two instants."""

from datetime import datetime
from typing import Any

from app.days import AsOf
from app.db import ReadSession, fetch_rows
from app.deployment import Deployment
from app.errors import FieldError, NoModel, ValidationFailed
from app.services.common import as_of as as_ofs
from app.services.scores import cards, model_scores
from app.services.stages import customer_snapshots

_HAPPENED = (
    "SELECT kind, count(*) FROM transactions"
    " WHERE customer_id = $1 AND occurred_at > $2 AND occurred_at <= $3 GROUP BY 1"
)
_CONTACTS = (
    "SELECT kind, count(*) FROM interactions"
    " WHERE customer_id = $1 AND occurred_at > $2 AND occurred_at <= $3 GROUP BY 1 ORDER BY 1"
)
_SMALL = 0.005
"""Of log-odds; less is not worth a word."""
_MOST_DIGITS = 4
"""Of a risk: what no digit of these shows is hardly a change."""


async def get(
    session: ReadSession,
    deployment: Deployment,
    customer_id: str,
    *,
    since: str,
    until: str | None,
    horizon_days: int | None,
    now: datetime,
) -> dict[str, Any]:
    """Return the risk at two instants by the model in force, and by what it changed."""
    start = as_ofs.parse(since, deployment, now, pointer="query:from")
    end = as_ofs.parse(until, deployment, now, pointer="query:to")
    if start.at > end.at:
        fault = FieldError("query:from", "as_of", "must not lie after `to`")
        raise ValidationFailed(errors=[fault])
    snapshot = await customer_snapshots.get(session, customer_id)
    if snapshot.model is None or not snapshot.model.can_score:
        raise NoModel
    horizon = horizon_days or snapshot.model.horizon_days
    before = await _told(session, deployment, snapshot, start, horizon)
    after = await _told(session, deployment, snapshot, end, horizon)
    return {
        "customer_id": customer_id,
        "from": start.at,
        "to": end.at,
        "horizon_days": horizon,
        "model_id": snapshot.model_id,
        "before": before and _figures(before),
        "after": after and _figures(after),
        **_compared(before, after),
        "facts": await _between(session, customer_id, start, end),
        "computed_at": now,
    }


async def _told(
    session: ReadSession,
    deployment: Deployment,
    snapshot: customer_snapshots.CustomerSnapshot,
    as_of: AsOf,
    horizon_days: int,
) -> dict[str, Any] | None:
    """Return the churn risk at an instant, None for one who had not purchased by then."""
    placed = await customer_snapshots.place(session, deployment, snapshot, snapshot.timeline, as_of)
    found = await model_scores.score(session, snapshot.model, placed, horizon_days)
    if found is None:
        return None
    return {**cards.churn_risk(found, 0), "rhythm": cards.rhythm_of(found, 0)}


def _figures(risk: dict[str, Any]) -> dict[str, Any]:
    names = ("probability", "rhythm", "log_odds", "base_log_odds", "reasons")
    return {name: risk[name] for name in names}


def _compared(before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, Any]:
    """Return how much each cause changed; the changes add up to that of the log-odds."""
    if before is None or after is None:
        return {"change": None, "causes": [], "text": _told_nothing(before, after)}
    then, now = ({reason["code"]: reason for reason in risk["reasons"]} for risk in (before, after))
    causes = []
    for code in dict.fromkeys([*then, *now]):
        old, new = then.get(code), now.get(code)
        a, b = (0.0 if each is None else each["contribution"] for each in (old, new))
        causes.append(
            {
                "code": code,
                "before": a,
                "after": b,
                "change": b - a,
                "text": _words(old, new),
            }
        )
    causes.sort(key=lambda cause: -abs(cause["change"]))
    change = after["log_odds"] - before["log_odds"]
    return {"change": change, "causes": causes, "text": summary(before, after, change, causes)}


def _told_nothing(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    """Say why nothing is compared, of one without a purchase day at one of the instants."""
    if before is not None:
        return "Every purchase of the customer has been refunded in full."
    bought = "purchased for the first time in between" if after else "has not purchased"
    return f"The customer {bought}."


def _words(old: dict[str, Any] | None, new: dict[str, Any] | None) -> str:
    if old is None or new is None:
        told = new or old
        assert told is not None
        return f"{'new' if old is None else 'no longer'}: {told['text']}"
    return new["text"] if old["text"] == new["text"] else f"{new['text']} (before: {old['text']})"


def summary(
    before: dict[str, Any], after: dict[str, Any], change: float, causes: list[dict[str, Any]]
) -> str:
    """Say how far the risk moved, in as many digits as show it, and by which causes."""
    then, now = before["probability"], after["probability"]
    if abs(change) < _SMALL:
        return f"The risk is {now:.2f} as before."
    way = "rose" if change > 0 else "fell"
    behind = [cause for cause in causes if cause["change"] * change > 0]
    behind = [each for each in behind if abs(each["change"]) >= _SMALL][:3] or behind[:1]
    mostly = ", ".join(f"{each['code']} ({each['change']:+.2f})" for each in behind)
    shown = _apart(then, now)
    if shown is None:
        return f"The risk hardly changed: it is {now:.2f}, and {way} a little by {mostly}."
    return f"The risk {way} from {shown[0]} to {shown[1]}, by {mostly}."


def _apart(then: float, now: float) -> tuple[str, str] | None:
    """Return two risks in the fewest digits that tell them apart and make neither certain."""
    for digits in range(2, _MOST_DIGITS + 1):
        old, new = (f"{each:.{digits}f}" for each in (then, now))
        certain = {float(old), float(new)} & {0.0, 1.0}
        if old != new and (not certain or digits == _MOST_DIGITS):
            return old, new
    return None


async def _between(
    session: ReadSession, customer_id: str, start: AsOf, end: AsOf
) -> dict[str, Any]:
    """Count what happened after the first instant, up to the second."""
    span = customer_id, start.at, end.at
    trades = {row[0]: row[1] for row in await fetch_rows(session, _HAPPENED, *span)}
    contacts = {row[0]: row[1] for row in await fetch_rows(session, _CONTACTS, *span)}
    return {
        "purchases": trades.get("purchase", 0),
        "refunds": trades.get("refund", 0),
        "interactions": contacts,
    }
