"""churn risk

Revision: 0003, after 0002. Created 2026-11-21 23:27:58.350884.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns without a volatile default; build indexes CONCURRENTLY in an autocommit
# block; add constraints NOT VALID, then VALIDATE; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.create_table(
        "backtests",
        sa.Column("backtest_id", sa.Text(collation="C"), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("horizon_days", sa.Integer(), nullable=False),
        sa.Column("folds", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("backtest_id", name=op.f("pk_backtests")),
    )
    op.create_index(
        "ix_backtests_created_at", "backtests", ["created_at", "backtest_id"], unique=False
    )
    op.add_column(
        "models", sa.Column("state", sa.Text(), nullable=False, server_default="candidate")
    )
    op.alter_column("models", "state", server_default=None)
    op.add_column("models", sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("models", sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_models_state"), "models", "state IN ('candidate', 'active', 'retired')"
    )
    op.execute(
        "UPDATE models SET state = 'active', activated_at = fitted_at WHERE to_jsonb(model_id)"
        " = (SELECT value FROM settings WHERE key = 'active_model_id')"
    )
    op.add_column("runs", sa.Column("horizon_days", sa.Integer(), nullable=True))
    op.add_column(
        "runs", sa.Column("monitor", postgresql.JSONB(astext_type=sa.Text()), nullable=True)
    )
    op.add_column("scores", sa.Column("reason", sa.Text(), nullable=True))


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_column("scores", "reason")
    op.drop_column("runs", "monitor")
    op.drop_column("runs", "horizon_days")
    op.drop_constraint(op.f("ck_models_state"), "models", type_="check")
    op.drop_column("models", "retired_at")
    op.drop_column("models", "activated_at")
    op.drop_column("models", "state")
    op.drop_index("ix_backtests_created_at", table_name="backtests")
    op.drop_table("backtests")
