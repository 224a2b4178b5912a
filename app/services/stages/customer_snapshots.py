"""What answers about customers start from, read in one statement so that it agrees."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from app.days import AsOf
from app.deployment import Deployment
from app.errors import NotFound
from app.lifecycle.dated import Ints
from app.lifecycle.facts import Summary
from app.lifecycle.version import DERIVATION_VERSION
from app.postgres.db import ReadSession, fetch_rows
from app.services.common import deployment_settings, sql_numbers
from app.services.customer_base import populations, summary_columns
from app.services.customer_base.populations import Population
from app.services.customer_base.summary_columns import FIELDS, Summaries
from app.services.customers import customers
from app.services.models import model_store
from app.services.models.fitted_models import FittedModel
from app.services.policies import policies
from app.services.policies.policies import PolicyTimeline
from app.services.stages import overridden_stages, placement
from app.services.stages.placement import Placement


@dataclass(frozen=True, slots=True, eq=False)
class CustomerSnapshots:
    """Customers as stored, the policies there were, and the model in force.

    `population` has their kept summaries, whatever instant these are true for; `of` says in which
    row a customer is, of those who are known.
    """

    population: Population
    of: dict[str, int]
    stage_versions: list[int]
    profiles_since: list[int | None]
    """Since when the profile of each holds; None: from the beginning."""
    moves: list[list[tuple[str, str, str, int, datetime]]]
    """The live transitions of each: from, to, cause, how many, and when last; if asked for."""
    overridden: list[str]
    """Who has ever had an override."""
    recorded_churn: list[str]
    """Of whom there is any churn record."""
    complained: bool
    """Whether any has ever had a complaint that is not known to be solved."""
    segments: dict[str, list[str]]
    """The codes of the segments that customers are kept to be in, of those who are in any."""
    timeline: PolicyTimeline
    model: FittedModel | None
    settled: bool
    """Whether everything stored was derived by the present rules, and the policy in force."""
    recorded_until: datetime
    """Up to when the transitions of time have been recorded for everybody."""

    @property
    def gap_days(self) -> float | None:
        """The population's mean gap between purchase days, if known."""
        return None if self.model is None else self.model.gap_days

    @property
    def model_id(self) -> str | None:
        return None if self.model is None else self.model.model_id


@dataclass(frozen=True, slots=True, eq=False)
class CustomerSnapshot:
    """One customer as stored; see `CustomerSnapshots`."""

    customer_id: str
    among: CustomerSnapshots

    @property
    def recorded_stage(self) -> str:
        return self.among.population.recorded_stages[0]

    @property
    def stage_version(self) -> int:
        return self.among.stage_versions[0]

    @property
    def summary(self) -> Summary:
        return self.among.population.summaries[0]

    @property
    def complained(self) -> bool:
        return self.among.complained

    @property
    def timeline(self) -> PolicyTimeline:
        return self.among.timeline

    @property
    def model(self) -> FittedModel | None:
        return self.among.model

    @property
    def model_id(self) -> str | None:
        return self.among.model_id


_POINTERS = ", ".join(
    f"(SELECT value #>> '{{}}' FROM settings WHERE key = '{key}')"  # noqa: S608  # names of settings
    for key in (
        deployment_settings.POLICY_TIMELINE,
        deployment_settings.ACTIVE_MODEL,
        deployment_settings.SETTLED_POLICY,
        deployment_settings.DERIVATION,
        deployment_settings.RECORDED_UNTIL,
    )
)
_WHOLE = [field for field in FIELDS if field.kind != "float8"]
_SUMMARY = ", ".join(summary_columns.number(field) for field in _WHOLE)
_FIRST = 15  # the column at which the numbers of the summary begin
_MOVES = (
    "ARRAY(SELECT ROW(from_stage, to_stage, cause, count(*), max(effective_at))"
    " FROM stage_transitions t WHERE t.customer_id = c.customer_id AND t.voided_at IS NULL"
    " GROUP BY from_stage, to_stage, cause)"
)
_SNAPSHOTS = (
    "SELECT c.customer_id, c.stage, c.stage_version,"  # noqa: S608  # names of columns
    f" {sql_numbers.micros('c.profile_holds_from')}, {{moves}},"
    " EXISTS (SELECT FROM stage_overrides o WHERE o.customer_id = c.customer_id),"
    " EXISTS (SELECT FROM churn_records r WHERE r.customer_id = c.customer_id),"
    " EXISTS (SELECT FROM interactions i WHERE i.customer_id = c.customer_id"
    " AND i.kind = 'complaint' AND i.outcome IS DISTINCT FROM 'solved'),"
    " (SELECT k.codes FROM customer_segments k WHERE k.customer_id = c.customer_id),"
    " {pointers}, coalesce(s.sum_log_gaps, 0), {summary}"
    " FROM customers c LEFT JOIN purchase_summaries s ON s.customer_id = c.customer_id"
    " AND s.customer_id = ANY($1::text[]) WHERE c.customer_id = ANY($1::text[])"
)
_WITH_MOVES = _SNAPSHOTS.format(moves=_MOVES, pointers=_POINTERS, summary=_SUMMARY)
_WITHOUT_MOVES = _SNAPSHOTS.format(moves="NULL", pointers=_POINTERS, summary=_SUMMARY)


async def read(
    session: ReadSession, customer_ids: Sequence[str], *, moves: bool = False
) -> CustomerSnapshots | None:
    """Return where customers stand, of those who are known; None if nobody is."""
    statement = _WITH_MOVES if moves else _WITHOUT_MOVES
    rows = await fetch_rows(session, statement, list(customer_ids))
    if not rows:
        return None
    timeline, model_id, settled, derivation, recorded_until = rows[0][9 : _FIRST - 1]
    ids = [row[0] for row in rows]
    table = np.array([row[_FIRST:] for row in rows], dtype=np.int64)
    columns = {field.name: table[:, place] for place, field in enumerate(_WHOLE)}
    columns["sum_log_gaps"] = np.array([row[_FIRST - 1] for row in rows])
    stages = tuple(dict.fromkeys(row[1] for row in rows))
    recorded: Ints = np.array([stages.index(row[1]) for row in rows])
    known = await policies.timeline(session, timeline)
    return CustomerSnapshots(
        population=Population(ids, recorded, stages, Summaries(len(ids), columns)),
        of={customer_id: row for row, customer_id in enumerate(ids)},
        stage_versions=[row[2] for row in rows],
        profiles_since=[row[3] for row in rows],
        moves=[row[4] or [] for row in rows],
        overridden=[row[0] for row in rows if row[5]],
        recorded_churn=[row[0] for row in rows if row[6]],
        complained=any(row[7] for row in rows),
        segments={row[0]: row[8] for row in rows if row[8]},
        timeline=known,
        model=None if model_id is None else await model_store.load(session, model_id),
        settled=settled == str(known.current.version) and derivation == str(DERIVATION_VERSION),
        recorded_until=datetime.fromisoformat(recorded_until),
    )


def unknown(customer_id: str) -> NotFound:
    """Return what is told of a customer of whom nothing is stored."""
    return customers.unknown(customer_id)


async def get(session: ReadSession, customer_id: str) -> CustomerSnapshot:
    """Return where a known customer stands."""
    found = await read(session, [customer_id])
    if found is None:
        raise unknown(customer_id)
    return CustomerSnapshot(customer_id, found)


async def place(
    session: ReadSession,
    deployment: Deployment,
    snapshots: CustomerSnapshots,
    timeline: PolicyTimeline,
    as_of: AsOf,
) -> Placement:
    """Place customers as facts up to an instant have it.

    Policies are those of the timeline, which need not be the one there was.
    """
    policy = timeline.at(as_of.micros)
    population = await populations.at(
        session, snapshots.timeline, policy.inactivity_limit, snapshots.population, as_of
    )
    overrides = {}
    if snapshots.overridden:
        overrides = await overridden_stages.of_customers(
            session, deployment, timeline, as_of, snapshots.overridden
        )
    return await placement.of_population(
        session,
        deployment,
        policy,
        population,
        as_of,
        gap_days=snapshots.gap_days,
        overrides=overrides,
    )
