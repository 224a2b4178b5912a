"""Customers of a run whom one can still do something for, each with reasons.

By default those of whom something is amiss: overdue, buying less often or for less, or with an open
complaint. The lost are not among them, nor is anybody whom somebody has put among those who have
left; whom only the rules of the policy put there may be, as rhythm decides it.

All is told from the table of the run, in one statement: its reasons and actions are those of the
run. What has come since is told by `facts_changed`.
"""

from collections.abc import Mapping
from typing import Any, Literal

from app.db import ReadSession
from app.deployment import Deployment
from app.models.scoring import LISTED
from app.services.common.paging import PageRequest, Sort, choose_sort
from app.services.scores import card_sentences, lists
from app.services.scores.kept_runs import KeptRun
from app.services.scores.lists import Question
from app.services.scores.run_selects import COLUMNS, Asked, RunSelect
from app.services.stages import next_actions

Include = Literal["lost", "all"]
_UNEXPLAINED: dict[str, Any] = {"base_log_odds": None, "log_odds": None, "reasons": []}
"""In a run of before reasons were kept with it."""
_COLUMNS = (
    "customer_id", "stage", "rhythm", "chance_if_active", "call_reasons", "value_tier",
    "purchase_days", "first_purchase_on", "last_purchase_on", "usual_gap_days", "probability",
    "expected_purchases", "value_to_save", "clv", "reason", "next_actions", "explanation",
)  # fmt: skip
_CHANGED = """
 (c.version IS DISTINCT FROM s.customer_version AND (
    EXISTS (SELECT FROM transactions t WHERE t.customer_id = s.customer_id
        AND t.received_at >= {since} AND (t.occurred_at <= {as_of} OR EXISTS (
            SELECT FROM transaction_revisions r WHERE r.customer_id = t.customer_id
            AND r.source = t.source AND r.transaction_id = t.transaction_id
            AND (r.content ->> 'occurred_at')::timestamptz <= {as_of})))
    OR EXISTS (SELECT FROM transaction_revisions t WHERE t.customer_id = s.customer_id
        AND t.voided_at >= {since} AND (t.content ->> 'occurred_at')::timestamptz <= {as_of})
    OR EXISTS (SELECT FROM interactions t WHERE t.customer_id = s.customer_id
        AND t.received_at >= {since} AND (t.occurred_at <= {as_of} OR EXISTS (
            SELECT FROM interaction_revisions r WHERE r.customer_id = t.customer_id
            AND r.source = t.source AND r.interaction_id = t.interaction_id
            AND (r.content ->> 'occurred_at')::timestamptz <= {as_of})))
    OR EXISTS (SELECT FROM interaction_revisions t WHERE t.customer_id = s.customer_id
        AND t.voided_at >= {since} AND (t.content ->> 'occurred_at')::timestamptz <= {as_of})
 )) AS facts_changed"""
"""Whether facts have come or changed since the run: looked for where anything was written since."""
_COUNTED = COLUMNS.value_to_save, COLUMNS.customer_id
_LIKELY = COLUMNS.probability, COLUMNS.customer_id
SORTS = {
    "-value_to_save": Sort(_COUNTED, descending=True),
    "value_to_save": Sort(_COUNTED),
    "-probability": Sort(_LIKELY, descending=True),
    "probability": Sort(_LIKELY),
    "customer_id": Sort((COLUMNS.customer_id,)),
}


async def search(
    session: ReadSession,
    deployment: Deployment,
    page: PageRequest,
    asked: Asked,
    *,
    include: Include | None,
) -> dict[str, Any]:
    """Return a page of a run: the one asked for, that of the cursor, or the published one."""

    def ask(run: KeptRun) -> Question:
        return _question(page, asked, include, run)

    found = await lists.fetch(session, deployment, page, asked, ask)
    if found is None:
        return lists.EMPTY
    run, rows, cursor = found
    items = [_item(deployment, run, row, asked.since) for row in rows]
    return {"items": items, "next_cursor": cursor, **run.head}


def _question(page: PageRequest, asked: Asked, include: Include | None, run: KeptRun) -> Question:
    told = run.tells_value_to_save
    ranked = "-value_to_save" if told else "-probability"
    allowed = {name: sort for name, sort in SORTS.items() if told or "value_to_save" not in name}
    name, sort = choose_sort(page, allowed, ranked)
    bound_to = {"list": "churn_risks", "sort": name, "=run_id": run.run_id,
                "include": include, **asked.bound_to}  # fmt: skip
    chosen = RunSelect(run.run_id, asked)
    chosen.conditions.append("s.probability IS NOT NULL")
    if include is None and asked.filters.get("rhythm") is None:
        chosen.conditions.append(LISTED)
    elif include == "lost" and asked.filters.get("rhythm") is None:
        chosen.conditions.append("(s.call_reasons <> '{}' OR s.rhythm = 'lost')")
    times = {"since": chosen.bind(run.created_at), "as_of": chosen.bind(run.as_of.at)}
    columns = ["c.name", *(f"s.{name}" for name in _COLUMNS), _CHANGED.format(**times)]
    if asked.since is not None:
        columns += ["s.is_new", "s.previous_probability", "s.previous_rhythm"]
    joined = " LEFT JOIN customers c ON c.customer_id = s.customer_id"
    return Question(chosen, sort, bound_to, columns, joined)


def _item(
    deployment: Deployment, run: KeptRun, row: Mapping[str, Any], since: int | None
) -> dict[str, Any]:
    to_save, stage = row["value_to_save"], run.policy.stage(row["stage"])
    item = {
        "customer_id": row["customer_id"],
        "name": row["name"],
        "stage": stage.code,
        "rhythm": lists.rhythm(row, run),
        "call_reasons": row["call_reasons"],
        "value_tier": row["value_tier"],
        "purchase_days": row["purchase_days"],
        "last_purchase_on": row["last_purchase_on"],
        "probability": row["probability"],
        "expected_purchases": row["expected_purchases"],
        "horizon_days": run.horizon,
        "value_to_save": None if to_save is None else deployment.money(to_save),
        "clv": deployment.money(row["clv"]),
        "reason": row["reason"],
        **_explained(run, row),
        "facts_changed": row["facts_changed"],
        "previous": lists.previous(row, since),
        "next_actions": [
            {"code": each.code, "name": each.name}
            for each in next_actions.held(stage.actions, row["next_actions"] or 0)
        ],
    }
    silent = run.silent(row["last_purchase_on"])
    item["sentence"] = card_sentences.of_answer(
        stage.name,
        {**item, "days_since_last_purchase": silent},
        uncertain=run.model.little_history,
    )
    return item


def _explained(run: KeptRun, row: Mapping[str, Any]) -> dict[str, Any]:
    if run.explanation is None or row["explanation"] is None:
        return _UNEXPLAINED
    log_odds, reasons = run.explanation.reasons(run.model, run.as_of.day, row)
    return {
        "base_log_odds": run.explanation.base_log_odds,
        "log_odds": log_odds,
        "reasons": reasons,
    }
