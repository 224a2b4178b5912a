"""Rows of a run as churn risks in JSON, in UTF-8.

What many rows share, such as what is said of 62 days of silence at one age, is made once and kept
with the run, as are the rows that were shown last; a row puts its pieces together. The same the
slow way is in `tests/services/scores/test_risk_rows.py`.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from app.deployment import Deployment
from app.schemas.common.encoding import to_json
from app.schemas.common.types import format_amount
from app.services.scores import card_sentences, lists, reason_texts
from app.services.scores.card_sentences import CardFigures
from app.services.scores.kept_runs import KeptRun
from app.services.scores.reason_inputs import QUOTED, ReasonInputs
from app.services.stages import next_actions

_MOST_PIECES = 20_000
_MOST_ROWS = 4_000
"""Of those that were shown last, at about three thousand bytes each."""
_FIRST = b'{"customer_id":%b,"name":'
_MIDDLE = (
    b',"stage":%b,"rhythm":%b,"call_reasons":%b,"sentence":%b,'
    b'"value_tier":%b,"purchase_days":%d,"last_purchase_on":"%b","probability":%b,'
    b'"expected_purchases":%b,"horizon_days":%d,"value_to_save":%b,"clv":%b,"reason":%b,%b,'
    b'"facts_changed":'
)
_LAST = b',"next_actions":%b}'
_CHANGED = {False: b'false,"previous":', True: b'true,"previous":'}
_RHYTHM = b'{"status":%b,"usual_gap_days":%b,"days_silent":%d,"chance_if_active":%b}'
_SENTENCE = b'{"en":%b,"zh":%b}'
_EXPLAINED = b'"base_log_odds":%b,"log_odds":%b,"reasons":[%b]'
_UNEXPLAINED = _EXPLAINED % (b"null", b"null", b"")
"""In a run of before reasons were kept with it."""


def page(
    deployment: Deployment,
    run: KeptRun,
    rows: Sequence[Mapping[str, Any]],
    cursor: str | None,
    since: int | None,
) -> bytes:
    """Return a page of churn risks."""
    if len(run.pieces) > _MOST_PIECES:
        run.pieces.clear()
    if len(run.rows) + len(rows) > _MOST_ROWS:
        run.rows.clear()
    items = b",".join([_item(deployment, run, row, since) for row in rows])
    rest = to_json({"next_cursor": cursor, **run.head})
    return b'{"items":[%b],%b' % (items, rest[1:])


def _item(deployment: Deployment, run: KeptRun, row: Mapping[str, Any], since: int | None) -> bytes:
    kept = run.rows.get(row["customer_id"])
    if kept is None:
        kept = run.rows[row["customer_id"]] = _kept(deployment, run, row)
    first, middle, last = kept
    previous = b"null" if since is None else _json(lists.previous(row, since))
    return b"".join(
        (first, _json(row["name"]), middle, _CHANGED[row["facts_changed"]], previous, last)
    )


def _kept(
    deployment: Deployment, run: KeptRun, row: Mapping[str, Any]
) -> tuple[bytes, bytes, bytes]:
    """Return what a row of a run says whenever it is asked, but for what stands in between."""
    last, currency = row["last_purchase_on"], deployment.currency
    silent = run.silent(last)
    middle = _MIDDLE % (
        _json(row["stage"]),
        _rhythm(row, silent),
        _shared(run, row["call_reasons"]),
        _sentence(deployment, run, row, silent),
        _json(row["value_tier"]),
        row["purchase_days"],
        last.isoformat().encode(),
        _number(row["probability"]),
        _number(row["expected_purchases"]),
        run.horizon,
        _money(row["value_to_save"], currency),
        _money(row["clv"], currency),
        _json(row["reason"]),
        _explained(run, row),
    )
    return _FIRST % _json(row["customer_id"]), middle, _LAST % _actions(run, row)


def _json(value: Any) -> bytes:
    return b"null" if value is None else _encode(value).encode()


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def _number(value: float | None) -> bytes:
    return b"null" if value is None else repr(value).encode()


def _money(amount: Decimal | None, currency: str) -> bytes:
    if amount is None:
        return b"null"
    return f'{{"amount":"{format_amount(amount)}","currency":"{currency}"}}'.encode()


def _shared(run: KeptRun, texts: Sequence[str]) -> bytes:
    key = tuple(texts)
    found = run.pieces.get(key)
    if found is None:
        found = run.pieces[key] = _json(texts)
    return found


def _rhythm(row: Mapping[str, Any], silent: int) -> bytes:
    if row["rhythm"] is None:
        return b"null"
    gap, chance = _number(row["usual_gap_days"]), _number(row["chance_if_active"])
    return _RHYTHM % (_json(row["rhythm"]), gap, silent, chance)


def _sentence(deployment: Deployment, run: KeptRun, row: Mapping[str, Any], silent: int) -> bytes:
    to_save, rhythm = row["value_to_save"], row["rhythm"]
    told = card_sentences.sentence(
        CardFigures(
            stage=run.policy.stage(row["stage"]).name,
            purchase_days=row["purchase_days"],
            days_silent=silent,
            usual_gap_days=None if rhythm is None else row["usual_gap_days"],
            rhythm=rhythm,
            chance_if_active=row["chance_if_active"],
            expected_purchases=row["expected_purchases"],
            horizon_days=run.horizon,
            call_reasons=row["call_reasons"],
            to_save=None if to_save is None else (to_save, deployment.currency),
            uncertain=run.model.little_history,
        )
    )
    return _SENTENCE % (_json(told["en"]), _json(told["zh"]))


def _explained(run: KeptRun, row: Mapping[str, Any]) -> bytes:
    """Return what the log-odds are made of, the weightiest cause first."""
    if run.explanation is None or row["explanation"] is None:
        return _UNEXPLAINED
    log_odds, parts, known = run.explanation.read(row, run.as_of.day)
    told = [
        (-abs(part), place, _reason(run, code, part, known))
        for place, (code, part) in enumerate(parts.items())
        if part or run.model.risk is None
    ]
    told.sort()
    base = run.explanation.base_log_odds
    reasons = b",".join([each for _, _, each in told])
    return _EXPLAINED % (_number(base), _number(log_odds), reasons)


def _reason(run: KeptRun, code: str, part: float, known: Mapping[str, float]) -> bytes:
    key = (code, part > 0, part < 0, *[known[name] for name in QUOTED[code]])
    found = run.pieces.get(key)
    if found is None:
        seen = ReasonInputs(run.model, run.as_of.day, known)
        found = run.pieces[key] = _json(reason_texts.reason(seen, code, part))
    return b'{"code":"%b","contribution":%b,%b' % (code.encode(), _number(part), found[1:])


def _actions(run: KeptRun, row: Mapping[str, Any]) -> bytes:
    key = row["stage"], row["next_actions"]
    found = run.pieces.get(key)
    if found is None:
        held = next_actions.held(run.policy.stage(key[0]).actions, key[1] or 0)
        named = [{"code": each.code, "name": dict(each.name)} for each in held]
        found = run.pieces[key] = _json(named)
    return found
