"""What is said of a line: why in a sentence, the card in words, what to do, how to reach them."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from app.days import from_day, to_day
from app.deployment import Deployment
from app.lifecycle.policy import Policy
from app.postgres.db import ReadSession
from app.schemas.common import personal
from app.services.common.deployment_settings import Pointers
from app.services.policies import policies
from app.services.runs.worklist import line_queries
from app.services.runs.worklist.line_queries import Asked, Held, Told
from app.services.scores import card_sentences, kept_runs
from app.services.scores.card_sentences import CardFigures
from app.services.scores.kept_runs import KeptRun
from app.services.stages import next_actions

_MASKED: Final = ("name", "phone", "email", "consent")
_DAYS: Final[Mapping[int | None, Sequence[tuple[str, str]]]] = {
    0: (("{days} days ago", "today"), ("{days}天前", "今天")),
    1: (("{days} days", "1 day"),),
}


async def words(
    session: ReadSession, deployment: Deployment, pointers: Pointers
) -> tuple[KeptRun | None, Policy]:
    """Return what is known of the run, and what stages are called now."""
    found = None
    if pointers.run_id is not None:
        found = await kept_runs.find(session, deployment, pointers.run_id)
    if found is not None and found.policy.version == pointers.policy_version:
        return found, found.policy
    timeline = await policies.timeline(session, pointers.timeline)
    return found, timeline.current


def line(
    deployment: Deployment, run: KeptRun | None, policy: Policy, asked: Asked, told: Told
) -> dict[str, Any]:
    profile, shows = told.profile, personal.is_shown()
    stage = profile["stage"]
    held = sorted((each for each in told.held if each.closed_by is None),
                  key=lambda each: each.rule.rank)  # fmt: skip
    worth = None if told.run is None else told.run["value_to_save"]
    name = policy.stage(stage).name if stage in policy.stages else None
    consent = None if told.consent is None else json.loads(told.consent)
    return {
        "customer_id": told.customer_id,
        "name": profile["name"] if shows else None,
        "owner": profile["owner"],
        "stage": {"code": stage, "name": None if name is None else dict(name)},
        "value_to_save": None if worth is None else deployment.money(worth),
        "reasons": [why(deployment, asked, each) for each in held],
        **_of_run(deployment, run, asked, told),
        "last_contact": told.last_contact,
        "reach": {
            "phone": profile["phone"] if shows else None,
            "email": profile["email"] if shows else None,
            "preferred_language": profile["preferred_language"],
            "time_zone": profile["time_zone"],
            "consent": consent if shows else None,
        },
    }


def why(deployment: Deployment, asked: Asked, held: Held) -> dict[str, Any]:
    """Return a reason in words, with the days since it is there."""
    instant = None if held.instant is None else deployment.calendar.day_of(held.instant)
    days = [each for each in (held.day and to_day(held.day), instant) if each is not None]
    began: date | None = from_day(max(days)) if days else None
    ago = max(asked.question.as_of.day - max(days), 0) if days else None
    said = {
        language: _filled(sentence, ago, began) for language, sentence in held.rule.sentence.items()
    }
    return {
        "code": held.rule.code,
        "duty": held.rule.duty,
        "name": dict(held.rule.name),
        "sentence": said,
        "action": None if held.rule.action is None else dict(held.rule.action),
        "since": began,
    }


def _filled(sentence: str, ago: int | None, began: date | None) -> str:
    """Return a sentence with its days in place: of one day and of none as people say it."""
    for unit, said in _DAYS.get(ago, ()):
        sentence = sentence.replace(unit, said)
    told = "?" if ago is None else str(ago)
    return sentence.replace("{days}", told).replace("{since}", str(began or "?"))


def _of_run(
    deployment: Deployment, run: KeptRun | None, asked: Asked, told: Told
) -> dict[str, Any]:
    """Return the card in words, and what to do, as the run has it."""
    row = told.run
    if run is None or row is None:
        return {"about": None, "next_actions": []}
    stage = run.policy.stage(row["stage"])
    last, worth = row["last_purchase_on"], row["value_to_save"]
    figures = CardFigures(
        stage=stage.name,
        purchase_days=row["purchase_days"],
        days_silent=None if last is None else asked.question.as_of.day - to_day(last),
        usual_gap_days=None if row["rhythm"] is None else row["usual_gap_days"],
        rhythm=row["rhythm"],
        chance_if_active=row["chance_if_active"],
        expected_purchases=row["expected_purchases"],
        horizon_days=run.horizon,
        call_reasons=row["call_reasons"],
        to_save=None if worth is None else (worth, deployment.currency),
        uncertain=run.model.little_history,
        advises=all(
            line_queries.is_of_run(each.rule.when) for each in told.held if each.closed_by is None
        ),
    )
    held = next_actions.held(stage.actions, row["next_actions"] or 0)
    return {
        "about": card_sentences.sentence(figures),
        "next_actions": [{"code": each.code, "name": dict(each.name)} for each in held],
    }


def masked(lines: Sequence[dict[str, Any]]) -> list[str]:
    return [] if personal.is_shown() or not lines else list(_MASKED)
