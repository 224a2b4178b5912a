"""Customers of a run whom one can still do something for, each with reasons.

By default those of whom something is amiss: overdue, buying less often or for less, or with an open
complaint. The lost are not among them, nor is anybody whom somebody has put among those who have
left; whom only the rules of the policy put there may be, as rhythm decides it.

All is told from the table of the run, in one statement: its reasons and actions are those of the
run. What has come since is told by `facts_changed`.
"""

from typing import Literal

from app.deployment import Deployment
from app.postgres.db import ReadSession
from app.schemas.common.encoding import to_json
from app.services.common.paging import PageRequest, Sort, choose_sort
from app.services.scores import lists, risk_rows
from app.services.scores.kept_runs import KeptRun
from app.services.scores.lists import Question
from app.services.scores.run_selects import COLUMNS, Asked, RunSelect

Include = Literal["lost", "all"]
_COLUMNS = (
    "customer_id", "stage", "rhythm", "chance_if_active", "call_reasons", "value_tier",
    "purchase_days", "first_purchase_on", "last_purchase_on", "usual_gap_days", "probability",
    "expected_purchases", "value_to_save", "clv", "reason", "next_actions", "explanation",
)  # fmt: skip
_CAME = """
    EXISTS (SELECT FROM {facts} t WHERE t.customer_id = s.customer_id
        AND t.received_at + interval '0' >= {since} AND (t.occurred_at <= {as_of} OR EXISTS (
            SELECT FROM {fact}_revisions r WHERE r.customer_id = t.customer_id
            AND r.source = t.source AND r.{fact}_id = t.{fact}_id
            AND (r.content ->> 'occurred_at')::timestamptz <= {as_of} OFFSET 0)))
    OR EXISTS (SELECT FROM {fact}_revisions r WHERE r.customer_id = s.customer_id
        AND r.voided_at >= {since} AND (r.content ->> 'occurred_at')::timestamptz <= {as_of})"""
"""Whether facts of a customer came, changed or went; found by the customer, never by the time."""
_CHANGED = (
    "(c.version IS DISTINCT FROM s.customer_version AND ({of_purchases} OR {of_interactions}))"
    " AS facts_changed"
)
"""Looked for where anything was written since the customer was scored."""
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
) -> bytes:
    """Return a page of a run: the one asked for, that of the cursor, or the published one.

    As JSON: a page is made of pieces that many of its rows share.
    """

    def ask(run: KeptRun) -> Question:
        return _question(page, asked, include, run)

    found = await lists.fetch(session, deployment, page, asked, ask)
    if found is None:
        return to_json({**lists.EMPTY, "masked": risk_rows.masked()})
    run, rows, cursor = found
    return await risk_rows.page(deployment, run, rows, cursor, asked.since)


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
        chosen.conditions.append("s.call_reasons <> '{}'")  # with the above, LISTED
    elif include == "lost" and asked.filters.get("rhythm") is None:
        chosen.conditions.append("(s.call_reasons <> '{}' OR s.rhythm = 'lost')")
    times = {"since": chosen.bind(run.created_at), "as_of": chosen.bind(run.as_of.at)}
    changed = _CHANGED.format(
        of_purchases=_CAME.format(facts="transactions", fact="transaction", **times),
        of_interactions=_CAME.format(facts="interactions", fact="interaction", **times),
    )
    columns = ["c.name", *(f"s.{name}" for name in _COLUMNS), changed]
    if asked.since is not None:
        columns += ["s.is_new", "s.previous_probability", "s.previous_rhythm"]
    joined = " LEFT JOIN customers c ON c.customer_id = s.customer_id"
    return Question(chosen, sort, bound_to, columns, joined)
