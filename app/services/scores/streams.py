"""All scores of a run in one answer, as lines that the database itself writes.

The rows of a run never change, and one COPY sees one snapshot: what is sent is the whole run, even
if it is dropped meanwhile. An answer that breaks off was not whole: the connection closes early.
"""

from collections.abc import AsyncGenerator, Collection, Mapping
from typing import Any

from app.days import from_day
from app.deployment import Deployment
from app.errors import FieldError, ValidationFailed
from app.postgres.db import Database, ReadSession
from app.schemas.common.types import format_instant
from app.services.common.copied_lines import Form, copied, no_formula
from app.services.common.paging import PageRequest
from app.services.scores import kept_runs, lists
from app.services.scores.kept_runs import KeptRun
from app.services.scores.lists import AMOUNTS, OF_RHYTHM, PLAIN
from app.services.scores.run_selects import Asked, RunSelect

OF_PAGES = ("limit", "cursor", "sort")
CSV_COLUMNS = (*PLAIN, *OF_RHYTHM, "days_silent", *AMOUNTS, "currency", "horizon_days")
OF_EARLIER = ("previous_probability", "previous_rhythm")
_ENDINGS: Mapping[Form, str] = {"application/x-ndjson": "ndjson", "text/csv": "csv"}
_OF_CALLERS = "customer_id", "stage"
"""Texts that are not codes of ours."""


def check(given: Collection[str]) -> None:
    """Refuse parameters that belong to pages."""
    faults = [
        FieldError(f"query:{name}", "not_with_stream", "is for pages: ask for application/json")
        for name in OF_PAGES
        if name in given
    ]
    if faults:
        raise ValidationFailed(errors=faults)


async def open_lines(
    database: Database,
    session: ReadSession,
    deployment: Deployment,
    page: PageRequest,
    form: Form,
    asked: Asked,
    given: Collection[str],
) -> tuple[AsyncGenerator[bytes], dict[str, str]]:
    """Return the lines of a run, and the headers; no line is read before the first is asked for.

    `given` are the names of the parameters that the caller gave.
    """
    check(given)
    kept_runs.forget(session)
    run = await lists.run_of(session, deployment, page, asked)
    if run is None:
        return _nobody(form), {}
    chosen = RunSelect(run.run_id, asked)
    columns = (_csv if form == "text/csv" else _json)(deployment, run, chosen)
    query = chosen.rows(columns, " ORDER BY s.customer_id")
    return copied(database, form, query, chosen.arguments), _headers(run.head)


def filename(form: Form, of_run: Mapping[str, str]) -> str:
    """Return what the lines of a run are saved as, by its headers."""
    run_id = of_run.get("CLM-Run-Id")
    return f"scores{'' if run_id is None else f'-run-{run_id}'}.{_ENDINGS[form]}"


async def _nobody(form: Form) -> AsyncGenerator[bytes]:
    """Yield what there is before the first run: the names of the columns, if there are such."""
    if form == "text/csv":
        yield f"{','.join(CSV_COLUMNS)}\r\n".encode()


def _headers(head: Mapping[str, Any]) -> dict[str, str]:
    """Return what a page says of its run as a whole."""
    risk, clv = head["churn_risk"], head["clv"]
    return {
        "CLM-As-Of": format_instant(head["as_of"]),
        "CLM-Run-Id": str(head["run_id"]),
        "CLM-Model-Id": head["model_id"],
        "CLM-Stage-Policy-Version": str(head["stage_policy_version"]),
        "CLM-Churn-Risk-Status": risk["status"],
        "CLM-Churn-Risk-Extrapolated": str(risk["extrapolated"]).lower(),
        "CLM-Clv-Horizon-Days": str(clv["horizon_days"]),
        "CLM-Clv-Annual-Discount": str(clv["annual_discount"]),
        "CLM-Clv-Basis": clv["basis"],
        "CLM-Clv-Caveats": ", ".join(clv["caveats"]),
    }


def _csv(deployment: Deployment, run: KeptRun, chosen: RunSelect) -> list[str]:
    told = {
        **{name: no_formula(f"s.{name}") for name in _OF_CALLERS},
        "run_id": f"{run.run_id}::bigint",
        "call_reasons": "array_to_string(s.call_reasons, ' ')",
        "days_silent": _silent(run, chosen),
        **{name: _amount(name) for name in AMOUNTS},
        "currency": f"{chosen.bind(deployment.currency)}::text",
        "horizon_days": f"{chosen.bind(run.horizon_days)}::integer",
        "previous_probability": "p.probability",
        "previous_rhythm": "p.rhythm",
    }
    names = CSV_COLUMNS if chosen.asked.since is None else (*CSV_COLUMNS, *OF_EARLIER)
    return [f"{told.get(name, f's.{name}')} AS {name}" for name in names]


def _json(deployment: Deployment, run: KeptRun, chosen: RunSelect) -> list[str]:
    currency = f"{chosen.bind(deployment.currency)}::text"
    told = {name: f"s.{name}" for name in PLAIN if name != "run_id"}
    told["run_id"] = f"{run.run_id}::bigint"
    told["rhythm"] = (
        "CASE WHEN s.rhythm IS NOT NULL THEN json_build_object('status', s.rhythm,"
        " 'usual_gap_days', s.usual_gap_days, 'days_silent',"
        f" {_silent(run, chosen)}, 'chance_if_active', s.chance_if_active) END"
    )
    for name in AMOUNTS:
        money = f"json_build_object('amount', {_amount(name)}, 'currency', {currency})"
        told[name] = f"CASE WHEN s.{name} IS NOT NULL THEN {money} END"
    told["horizon_days"] = f"{chosen.bind(run.horizon_days)}::integer"
    told["previous"] = "NULL"
    if chosen.asked.since is not None:
        told["previous"] = (
            "CASE WHEN p.customer_id IS NOT NULL THEN json_build_object('run_id',"
            f" {chosen.asked.since}::bigint, 'probability', p.probability, 'rhythm', p.rhythm) END"
        )
    pairs = ", ".join(f"'{name}', {value}" for name, value in told.items())
    return [f"json_build_object({pairs})"]


def _silent(run: KeptRun, chosen: RunSelect) -> str:
    return f"{chosen.bind(from_day(run.as_of.day))}::date - s.last_purchase_on"


def _amount(name: str) -> str:
    """Write an amount as the API does: at least two digits behind the point."""
    cents = f"round(s.{name}, 2)"
    return f"CASE WHEN s.{name} = {cents} THEN {cents}::text ELSE trim_scale(s.{name})::text END"
