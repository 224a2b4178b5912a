"""a table for each run

Revision: 0014, after 0013. Created 2026-11-26 11:20:00.

The scores of kept runs go to tables of their own in the schema `runs`, where the application may
create; see `docs/decisions/0032`. A role of the application that is not the one that migrates needs
`GRANT USAGE, CREATE ON SCHEMA runs`, and to read the runs moved here,
`GRANT SELECT ON ALL TABLES IN SCHEMA runs`; those can be dropped by the migrating role alone.

What such a run tells of reasons and actions was never stored: it is empty until the next run. A run
that is being made begins again.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
COLUMNS = """stage, status, purchase_days, first_purchase_on, last_purchase_on, revenue,
    usual_gap_days, r, f, m, rfm_group, p_alive, expected_purchases, probability, rhythm,
    chance_if_active, call_reasons, clv, value_tier, value_to_save, reason"""
TABLE = """(
    customer_id text COLLATE "C" NOT NULL, customer_version bigint,
    stage text NOT NULL, status text NOT NULL, purchase_days integer NOT NULL,
    first_purchase_on date, last_purchase_on date, revenue numeric(30, 4) NOT NULL,
    usual_gap_days double precision, r smallint, f smallint, m smallint, rfm_group text,
    p_alive double precision, expected_purchases double precision, probability double precision,
    rhythm text, chance_if_active double precision, call_reasons text[] NOT NULL,
    clv numeric(30, 4), value_tier text, value_to_save numeric(30, 4), reason text,
    next_actions bigint, explanation bytea)"""
AGAIN = "SELECT operation_id FROM operations WHERE kind = 'scoring_run' AND state = 'running'"
MOVE = f"""
DO $$
DECLARE run bigint; name text;
BEGIN
    FOR run IN SELECT run_id FROM runs ORDER BY run_id LOOP
        name := 'scores_' || run;
        EXECUTE format('CREATE TABLE runs.%I {TABLE}', name);
        EXECUTE format('INSERT INTO runs.%I (customer_id, {COLUMNS})'
            ' SELECT customer_id, {COLUMNS} FROM scores WHERE run_id = %s', name, run);
        EXECUTE format('CREATE UNIQUE INDEX %I ON runs.%I (customer_id)'
            ' WITH (fillfactor = 100)', name || '_customer', name);
        EXECUTE format('CREATE INDEX %I ON runs.%I (value_to_save, customer_id)'
            ' WITH (fillfactor = 100)', name || '_value_to_save', name);
        EXECUTE format('CREATE INDEX %I ON runs.%I (probability, customer_id)'
            ' WITH (fillfactor = 100)', name || '_probability', name);
        EXECUTE format('CREATE INDEX %I ON runs.%I (value_to_save, customer_id)'
            ' WITH (fillfactor = 100) WHERE probability IS NOT NULL AND call_reasons <> ''{{}}''',
            name || '_calls', name);
        EXECUTE format('ANALYZE runs.%I', name);
    END LOOP;
END $$"""  # noqa: S608  # constants
MOVE_BACK = f"""
DO $$
DECLARE run bigint;
BEGIN
    FOR run IN SELECT run_id FROM runs ORDER BY run_id LOOP
        EXECUTE format('INSERT INTO scores (run_id, customer_id, {COLUMNS})'
            ' SELECT %s, customer_id, {COLUMNS} FROM runs.%I', run, 'scores_' || run);
    END LOOP;
END $$"""  # noqa: S608  # constants


def upgrade() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    op.execute(LOCK_TIMEOUT)
    op.execute("CREATE SCHEMA IF NOT EXISTS runs")
    op.alter_column("runs", "run_id", type_=sa.BigInteger(), existing_type=sa.Integer())
    op.add_column("runs", sa.Column("explanation", postgresql.JSONB(), nullable=True))
    _begin_again()
    op.execute(MOVE)
    op.drop_table("scores")


def _begin_again() -> None:
    """Let runs that are being made begin anew."""
    op.execute(f"DELETE FROM runs WHERE operation_id IN ({AGAIN})")  # noqa: S608
    op.execute(f"DELETE FROM operation_parts WHERE operation_id IN ({AGAIN})")  # noqa: S608
    op.execute(
        "INSERT INTO operation_parts (operation_id, task, arguments, state, attempt)"  # noqa: S608
        f" SELECT operation_id, 'scoring_run', '{{}}', 'pending', 0 FROM ({AGAIN}) AS again"
    )
    op.execute(
        "UPDATE operations SET state = 'pending', done = 0, total = 1, context = '{}',"  # noqa: S608
        f" started_at = NULL WHERE operation_id IN ({AGAIN})"
    )


def downgrade() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    op.execute(LOCK_TIMEOUT)
    _begin_again()
    op.create_table(
        "scores",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("purchase_days", sa.Integer(), nullable=False),
        sa.Column("first_purchase_on", sa.Date(), nullable=True),
        sa.Column("last_purchase_on", sa.Date(), nullable=True),
        sa.Column("revenue", sa.Numeric(precision=30, scale=4), nullable=False),
        sa.Column("usual_gap_days", sa.Float(), nullable=True),
        sa.Column("r", sa.SmallInteger(), nullable=True),
        sa.Column("f", sa.SmallInteger(), nullable=True),
        sa.Column("m", sa.SmallInteger(), nullable=True),
        sa.Column("rfm_group", sa.Text(), nullable=True),
        sa.Column("p_alive", sa.Float(), nullable=True),
        sa.Column("expected_purchases", sa.Float(), nullable=True),
        sa.Column("probability", sa.Float(), nullable=True),
        sa.Column("rhythm", sa.Text(), nullable=True),
        sa.Column("chance_if_active", sa.Float(), nullable=True),
        sa.Column("call_reasons", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("clv", sa.Numeric(precision=30, scale=4), nullable=True),
        sa.Column("value_tier", sa.Text(), nullable=True),
        sa.Column("value_to_save", sa.Numeric(precision=30, scale=4), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "run_id", name="pk_scores"),
    )
    op.execute(MOVE_BACK)
    op.create_index("ix_scores_value_to_save", "scores", ["run_id", "value_to_save", "customer_id"])
    op.create_index("ix_scores_probability", "scores", ["run_id", "probability", "customer_id"])
    op.create_index("ix_scores_customer", "scores", ["run_id", "customer_id"])
    op.execute("DROP SCHEMA runs CASCADE")
    op.drop_column("runs", "explanation")
    op.alter_column("runs", "run_id", type_=sa.Integer(), existing_type=sa.BigInteger())
