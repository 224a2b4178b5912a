"""Why a customer is in a stage: every rule, with the values it looked at."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from app.days import AsOf
from app.deployment import Deployment
from app.lifecycle import evidence
from app.lifecycle.expressions import Values, comparisons, words
from app.lifecycle.policy import Rule
from app.lifecycle.variables.definition import Term
from app.postgres.db import ReadSession
from app.services.stages import rule_records, stages, why_churned


async def explain(
    session: ReadSession,
    deployment: Deployment,
    customer_id: str,
    *,
    as_of: AsOf,
    policy_version: int | None,
    now: datetime,
) -> dict[str, Any]:
    """Return every rule with the customer's values, and whether it holds."""
    view = await stages.look(session, deployment, customer_id, as_of, policy_version)
    policy = view.policy
    known = await rule_records.at_instant(
        session, deployment, policy, view.placement.population, as_of
    )
    one, day = np.zeros(1, dtype=np.int64), np.array([as_of.day])
    values = known.values(policy.terms, one, day)
    end = stages.end_of(await view.history(session, deployment, as_of), view.placement)
    left = [customer_id] if policy.has_left(end.stage) else []
    why = await why_churned.of_churned(session, deployment, view.timeline, left, as_of)
    return {
        "customer_id": customer_id,
        "stage": end.stage,
        "rules": [
            {**_told(rule, values), "decides": number == end.rule and end.override is None}
            for number, rule in enumerate(policy.rules)
        ],
        "override": stages.override_of(end.override),
        "churn_record": why.get(customer_id),
        "policy_version": policy.version,
        "as_of": as_of.at,
        "computed_at": now,
    }


def _told(rule: Rule, values: Values) -> dict[str, Any]:
    shown = {term: evidence.shown(term, column)[0] for term, column in values.items()}
    return {
        "code": rule.code,
        "stage": rule.stage,
        "words": {language: words(rule.when, language) for language in ("en", "zh")},
        "holds": bool(rule.when.holds(values, 1)[0]),
        "comparisons": [
            {
                "words": {language: words(part, language) for language in ("en", "zh")},
                "variable": part.term.key,
                "value": shown[part.term],
                "op": part.op,
                "compared_with": shown[part.value]
                if isinstance(part.value, Term)
                else _plain(part.value),
                "holds": bool(part.holds(values, 1)[0]),
            }
            for part in comparisons(rule.when)
        ],
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
