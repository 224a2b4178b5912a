"""segments

Revision: 0021, after 0020. Created 2026-11-26 22:30:00.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# The oldest revision whose release still works on this one.
oldest_served = "0018"

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns without a volatile default; build indexes CONCURRENTLY in an autocommit
# block; add constraints NOT VALID, then VALIDATE; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
ID = sa.Text(collation="C")
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.create_table(
        "segments",
        sa.Column("code", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("retired_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("last_used_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_segments")),
    )
    op.create_table(
        "segment_versions",
        sa.Column("code", ID, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("code", "version", name=op.f("pk_segment_versions")),
    )
    op.create_table(
        "customer_segments",
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("codes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer_segments")),
    )
    op.create_table(
        "segment_periods",
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("code", ID, nullable=False),
        sa.Column("entered_at", INSTANT, nullable=False),
        sa.Column("left_at", INSTANT, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "customer_id", "code", "entered_at", name=op.f("pk_segment_periods")
        ),
    )
    op.create_index("ix_segment_periods_code", "segment_periods", ["code", "entered_at"])
    op.create_index(
        "ix_segment_periods_open",
        "segment_periods",
        ["code", "customer_id"],
        postgresql_where=sa.text("left_at IS NULL"),
    )
    op.create_index(
        "ix_segment_periods_left",
        "segment_periods",
        ["code", "left_at"],
        postgresql_where=sa.text("left_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    for table in ("segment_periods", "customer_segments", "segment_versions", "segments"):
        op.drop_table(table)
