"""A cut of a back-test as the API shows it: money as money, seasons and levels in words."""

from typing import Any

from app.deployment import Deployment
from app.services.models import churn_learning, seasons
from app.services.models.model_documents import FittedSeason

_OF_CUSTOMERS = ("one_time", "repeat", "new_customers")
_AMOUNTS = ("expected_revenue", "revenue")
_NOTHING: dict[str, Any] = dict.fromkeys(
    ("churned", "choice", "growth", "season", "totals", "coverage", "intervals", "lift", "one_time",
     "repeat", "new_customers")
) | {"components": [], "calibration": [], "curve": [], "groups": []}  # fmt: skip
"""What a cut without customers has, or one of before there was more."""


def to_response(deployment: Deployment, fold: dict[str, Any], horizon: int) -> dict[str, Any]:
    """Return what was found at a cut."""
    found = {**_NOTHING, **fold}
    choice, season, totals = (found[name] for name in ("choice", "season", "totals"))
    if choice is not None:
        choice = {**choice, "guard": churn_learning.guard_in_words(choice.get("guard"))}
    if season is not None:
        season = seasons.answer(FittedSeason(**season, plain=None))
    if totals is not None:
        told = [_with_money(deployment, each) for each in totals["told"]]
        totals = {**_with_money(deployment, totals), "told": told}
    parts = {name: _with_money(deployment, found[name]) for name in _OF_CUSTOMERS if found[name]}
    return {
        **found,
        **parts,
        "groups": [_with_money(deployment, group) for group in found["groups"]],
        "choice": choice,
        "season": season,
        "totals": totals,
        "bands": bands(found["bands"], horizon),
    }


def _with_money(deployment: Deployment, part: dict[str, Any]) -> dict[str, Any]:
    found = {name: deployment.computed_money(part[name]) for name in _AMOUNTS if name in part}
    if "revenue_interval" in part:
        ends = part["revenue_interval"].items()
        found["revenue_interval"] = {end: deployment.computed_money(value) for end, value in ends}
    return {**part, **found}


def bands(found: dict[str, Any] | None, horizon: int) -> dict[str, Any] | None:
    """Return the levels of churn risk with what they mean."""
    if found is None:
        return None
    rows = [{**band, "meaning": churn_learning.meaning(band, horizon)} for band in found["bands"]]
    return {**found, "bands": rows}
