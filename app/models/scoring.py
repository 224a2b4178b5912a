"""Fitted models, their back-tests, scoring runs and the scores they wrote."""

from datetime import timedelta
from functools import lru_cache

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import SUM_DIGITS, Base, Instant, Json
from app.money import PLACES

KEPT_RUNS = 8
RUN_GRACE = timedelta(hours=24)
"""How many published runs are kept, and how long one that was replaced."""
_SUM = Numeric(SUM_DIGITS, PLACES)


class Model(Base):
    """Everything learnt at one `as_of`; never changed after it was written, save for its state.

    `document` holds the parameters, cuts, the population's gap and the reference customer.
    """

    __tablename__ = "models"
    __table_args__ = (
        CheckConstraint("state IN ('candidate', 'active', 'retired')", name="state"),
        Index("ix_models_fitted_at", "fitted_at", "model_id"),
    )

    model_id: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    time_unit: Mapped[str] = mapped_column(Text)
    as_of: Mapped[Instant]
    fitted_at: Mapped[Instant]
    customers: Mapped[int] = mapped_column(Integer)
    document: Mapped[Json]
    state: Mapped[str] = mapped_column(Text)
    activated_at: Mapped[Instant | None]
    retired_at: Mapped[Instant | None]


class Backtest(Base):
    """How well churn risk would have been foretold at an earlier instant."""

    __tablename__ = "backtests"
    __table_args__ = (Index("ix_backtests_created_at", "created_at", "backtest_id"),)

    backtest_id: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    as_of: Mapped[Instant]
    horizon_days: Mapped[int] = mapped_column(Integer)
    folds: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[Instant]
    document: Mapped[Json]


class Run(Base):
    """One scoring of everybody; readable while the table of its scores is kept.

    `explanation` says what stands in the column of this name in that table: `RunExplanation`.
    """

    __tablename__ = "runs"

    run_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    operation_id: Mapped[str] = mapped_column(Text(collation="C"), unique=True)
    model_id: Mapped[str] = mapped_column(Text(collation="C"))
    policy_version: Mapped[int] = mapped_column(Integer)
    as_of: Mapped[Instant]
    created_at: Mapped[Instant]
    published_at: Mapped[Instant | None]
    replaced_at: Mapped[Instant | None]
    customers: Mapped[int | None] = mapped_column(Integer)
    summary: Mapped[Json | None]
    horizon_days: Mapped[int | None] = mapped_column(Integer)
    monitor: Mapped[Json | None]
    explanation: Mapped[Json | None]


RUN_SCHEMA = "runs"
"""Where the tables of runs are: the only schema in which the application creates."""


def scores_name(run_id: int) -> str:
    """Return the name of the table of a run, as SQL has it; runs are numbered by the database."""
    return f"{RUN_SCHEMA}.scores_{int(run_id)}"


@lru_cache(maxsize=64)
def scores_of(run_id: int) -> Table:
    """Return the table of a run: a row is a customer. Money is in the deployment's currency.

    `customer_version` is that of the customer when scored. `next_actions` has a bit for each action
    of the stage, in the order of the policy, the first one the lowest. `explanation` is what churn
    risk is made of, as `Run.explanation` says. No column has an index before all rows are there,
    and no autovacuum comes in between.
    """
    return Table(
        f"scores_{int(run_id)}",
        MetaData(schema=RUN_SCHEMA),
        Column("customer_id", Text(collation="C"), nullable=False),
        Column("customer_version", BigInteger),
        Column("stage", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("purchase_days", Integer, nullable=False),
        Column("first_purchase_on", Date),
        Column("last_purchase_on", Date),
        Column("revenue", _SUM, nullable=False),
        Column("usual_gap_days", Double),
        Column("r", SmallInteger),
        Column("f", SmallInteger),
        Column("m", SmallInteger),
        Column("rfm_group", Text),
        Column("p_alive", Double),
        Column("expected_purchases", Double),
        Column("probability", Double),
        Column("rhythm", Text),
        Column("chance_if_active", Double),
        Column("call_reasons", ARRAY(Text), nullable=False),
        Column("clv", _SUM),
        Column("value_tier", Text),
        Column("value_to_save", _SUM),
        Column("reason", Text),
        Column("next_actions", BigInteger),
        Column("explanation", LargeBinary),
        postgresql_with={"autovacuum_enabled": "false"},
    )


LISTED = "probability IS NOT NULL AND call_reasons <> '{}'"
"""Of the list of whom to call, in words of its index."""
_INDEXES = {
    "customer": ("UNIQUE", "(customer_id)", ""),
    "value_to_save": ("", "(value_to_save, customer_id)", ""),
    "probability": ("", "(probability, customer_id)", ""),
    "calls": ("", "(value_to_save, customer_id)", f" WHERE {LISTED}"),
}
SCORE_INDEXES = tuple(_INDEXES)
"""What is built on the table of a run, each by itself, when all rows are there."""


SEARCHED = (
    "customer_id", "stage", "rfm_group", "probability", "rhythm", "call_reasons", "value_tier",
    "value_to_save", "reason",
)  # fmt: skip
"""Columns by which lists choose and sort: what the planner has to know of a run."""


def score_index(run_id: int, name: str) -> str:
    """Return the statement that builds an index of a run; its pages are never added to."""
    kind, columns, where = _INDEXES[name]
    return (
        f"CREATE {kind} INDEX scores_{int(run_id)}_{name} ON {scores_name(run_id)} {columns}"
        f" WITH (fillfactor = 100){where}"
    )
