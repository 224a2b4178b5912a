"""Why the churn risk of a customer changed between two instants."""

from datetime import datetime
from typing import Any, Final

from app.days import AsOf
from app.deployment import Deployment
from app.errors import FieldError, NoModel, ValidationFailed
from app.postgres.db import ReadSession, fetch_rows
from app.services.common import as_of as as_ofs
from app.services.scores import model_scores, risk_answers
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
_IN_CHINESE: Final = {
    "purchases": "购买天数", "age": "成为客户的时长", "inactivity": "沉默时间",
    "frequency_trend": "频次趋势", "amount_trend": "金额趋势", "value": "购买金额",
    "regularity": "购买规律性", "refunds": "退款", "complaints": "投诉", "satisfaction": "满意度",
    "surveyed": "答过调查", "contact_silence": "未联系时间", "contacted": "有过联系",
    "purchase_history": "购买历史",
}  # fmt: skip
"""What causes are called; in English by their codes."""
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
    placed = await customer_snapshots.place(
        session, deployment, snapshot.among, snapshot.timeline, as_of
    )
    found = await model_scores.score(
        session, snapshot.model, placed, horizon_days, complained=snapshot.complained
    )
    if found is None:
        return None
    return {**risk_answers.churn_risk(found, 0), "rhythm": risk_answers.rhythm_of(found, 0)}


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


def _told_nothing(before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, str]:
    """Say why nothing is compared, of one without a purchase day at one of the instants."""
    if before is not None:
        return _both(
            "Every purchase of the customer has been refunded in full.",
            "该客户的购买已全部全额退款。",
        )
    if after:
        return _both(
            "The customer purchased for the first time in between.", "该客户在此期间首次购买。"
        )
    return _both("The customer has not purchased.", "该客户尚未购买。")


def _both(en: str, zh: str) -> dict[str, str]:
    return {"en": en, "zh": zh}


def _words(old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, str]:
    told = new or old
    assert told is not None
    text = told["text"]
    if old is None:
        return _both(f"new: {text['en']}", f"新增：{text['zh']}")
    if new is None:
        return _both(f"no longer: {text['en']}", f"已消失：{text['zh']}")
    was: dict[str, str] = old["text"]
    if was == text:
        return was
    return _both(f"{text['en']} (before: {was['en']})", f"{text['zh']}（之前：{was['zh']}）")


def summary(
    before: dict[str, Any], after: dict[str, Any], change: float, causes: list[dict[str, Any]]
) -> dict[str, str]:
    """Say how far the risk moved, in as many digits as show it, and by which causes."""
    then, now = before["probability"], after["probability"]
    if abs(change) < _SMALL:
        return _both(f"The risk is {now:.2f} as before.", f"风险为{now:.2f}，没有变化。")
    rose = change > 0
    behind = [cause for cause in causes if cause["change"] * change > 0]
    behind = [each for each in behind if abs(each["change"]) >= _SMALL][:3] or behind[:1]
    en = ", ".join(f"{each['code'].replace('_', ' ')} ({each['change']:+.2f})" for each in behind)
    zh = "、".join(
        f"{_IN_CHINESE.get(each['code'], each['code'])}（{each['change']:+.2f}）" for each in behind
    )
    shown = _apart(then, now)
    if shown is None:
        way = ("rose", "上升") if rose else ("fell", "下降")
        return _both(
            f"The risk hardly changed: it is {now:.2f}, and {way[0]} a little by {en}.",
            f"风险几乎没有变化：为{now:.2f}，略有{way[1]}，主要因{zh}。",
        )
    way = ("rose", "升至") if rose else ("fell", "降至")
    return _both(
        f"The risk {way[0]} from {shown[0]} to {shown[1]}, by {en}.",
        f"风险由{shown[0]}{way[1]}{shown[1]}，主要因{zh}。",
    )


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
