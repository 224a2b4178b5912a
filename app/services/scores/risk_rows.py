"""Rows of a run as churn risks in JSON, in UTF-8.

What many rows share, such as what is said of 62 days of silence at one age, is made once and kept
with the run, as are the rows that were shown last; a row puts its pieces together. The same the
slow way is in `tests/services/scores/test_risk_rows.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from app.deployment import Deployment
from app.schemas.common import personal
from app.schemas.common.encoding import to_json
from app.services.common import threads
from app.services.scores import lists, pieces
from app.services.scores.card_sentences import CardFigures
from app.services.scores.kept_runs import KeptRun
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
_EXPLAINED = b'"base_log_odds":%b,"log_odds":%b,"reasons":%b'
_UNEXPLAINED = _EXPLAINED % (b"null", b"null", b"[]")
"""In a run of before reasons were kept with it."""


async def page(
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
    items = b",".join([_item(deployment, run, row, since) async for row in threads.in_turns(rows)])
    rest = to_json({"next_cursor": cursor, **run.head, "masked": masked()})
    return b'{"items":[%b],%b' % (items, rest[1:])


def masked() -> list[str]:
    """Return what is shown of nobody in this request."""
    return [] if personal.is_shown() else ["name"]


def _item(deployment: Deployment, run: KeptRun, row: Mapping[str, Any], since: int | None) -> bytes:
    kept = run.rows.get(row["customer_id"])
    if kept is None:
        kept = run.rows[row["customer_id"]] = _kept(deployment, run, row)
    first, middle, last = kept
    previous = b"null" if since is None else pieces.written(lists.previous(row, since))
    name = pieces.written(row["name"] if personal.is_shown() else None)
    return b"".join((first, name, middle, _CHANGED[row["facts_changed"]], previous, last))


def _kept(
    deployment: Deployment, run: KeptRun, row: Mapping[str, Any]
) -> tuple[bytes, bytes, bytes]:
    """Return what a row of a run says whenever it is asked, but for what stands in between."""
    last, currency = row["last_purchase_on"], deployment.currency
    silent = run.silent(last)
    middle = _MIDDLE % (
        pieces.written(row["stage"]),
        _rhythm(row, silent),
        _shared(run, row["call_reasons"]),
        _sentence(deployment, run, row, silent),
        pieces.written(row["value_tier"]),
        row["purchase_days"],
        last.isoformat().encode(),
        pieces.number(row["probability"]),
        pieces.number(row["expected_purchases"]),
        run.horizon,
        pieces.money(row["value_to_save"], currency),
        pieces.money(row["clv"], currency),
        pieces.written(row["reason"]),
        _explained(run, row),
    )
    return _FIRST % pieces.written(row["customer_id"]), middle, _LAST % _actions(run, row)


def _shared(run: KeptRun, texts: Sequence[str]) -> bytes:
    key = tuple(texts)
    found = run.pieces.get(key)
    if found is None:
        found = run.pieces[key] = pieces.written(texts)
    return found


def _rhythm(row: Mapping[str, Any], silent: int) -> bytes:
    if row["rhythm"] is None:
        return pieces.NULL
    return pieces.rhythm(row["rhythm"], row["usual_gap_days"], silent, row["chance_if_active"])


def _sentence(deployment: Deployment, run: KeptRun, row: Mapping[str, Any], silent: int) -> bytes:
    to_save, rhythm = row["value_to_save"], row["rhythm"]
    return pieces.sentence(
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


def _explained(run: KeptRun, row: Mapping[str, Any]) -> bytes:
    """Return what the log-odds are made of, the weightiest cause first."""
    if run.explanation is None or row["explanation"] is None:
        return _UNEXPLAINED
    log_odds, parts, known = run.explanation.read(row, run.as_of.day)
    reasons = pieces.reasons(run.pieces, run.model, run.as_of.day, parts, known)
    base = run.explanation.base_log_odds
    return _EXPLAINED % (pieces.number(base), pieces.number(log_odds), reasons)


def _actions(run: KeptRun, row: Mapping[str, Any]) -> bytes:
    key = row["stage"], row["next_actions"]
    found = run.pieces.get(key)
    if found is None:
        held = next_actions.held(run.policy.stage(key[0]).actions, key[1] or 0)
        found = run.pieces[key] = pieces.actions(held)
    return found
