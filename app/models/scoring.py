"""Fitted models, their back-tests, scoring runs and the scores they wrote."""

from datetime import date

from sqlalchemy import ARRAY, CheckConstraint, Identity, Index, Integer, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identifier, Instant, Json, MoneySum


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
    """One scoring of everybody; readable while its scores are kept."""

    __tablename__ = "runs"

    run_id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
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


class Score(Base):
    """One customer in one run. Money is in the deployment's currency."""

    __tablename__ = "scores"
    __table_args__ = (
        Index("ix_scores_value_to_save", "run_id", "value_to_save", "customer_id"),
        Index("ix_scores_probability", "run_id", "probability", "customer_id"),
        Index("ix_scores_customer", "run_id", "customer_id"),
    )

    customer_id: Mapped[Identifier] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    stage: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    purchase_days: Mapped[int] = mapped_column(Integer)
    first_purchase_on: Mapped[date | None]
    last_purchase_on: Mapped[date | None]
    revenue: Mapped[MoneySum]
    usual_gap_days: Mapped[float | None]
    r: Mapped[int | None] = mapped_column(SmallInteger)
    f: Mapped[int | None] = mapped_column(SmallInteger)
    m: Mapped[int | None] = mapped_column(SmallInteger)
    rfm_group: Mapped[str | None] = mapped_column(Text)
    p_alive: Mapped[float | None]
    expected_purchases: Mapped[float | None]
    probability: Mapped[float | None]
    rhythm: Mapped[str | None] = mapped_column(Text)
    chance_if_active: Mapped[float | None]
    call_reasons: Mapped[list[str]] = mapped_column(ARRAY(Text))
    clv: Mapped[MoneySum | None]
    value_tier: Mapped[str | None] = mapped_column(Text)
    value_to_save: Mapped[MoneySum | None]
    reason: Mapped[str | None] = mapped_column(Text)
