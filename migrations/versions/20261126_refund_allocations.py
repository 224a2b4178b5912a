"""refund allocations

Revision: 0004, after 0003. Created 2026-11-26 05:06:45.492471.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns without a volatile default; build indexes CONCURRENTLY in an autocommit
# block; add constraints NOT VALID, then VALIDATE; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.create_table(
        "refund_allocations",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("refund_source", sa.Text(collation="C"), nullable=False),
        sa.Column("refund_id", sa.Text(collation="C"), nullable=False),
        sa.Column("purchase_source", sa.Text(collation="C"), nullable=False),
        sa.Column("purchase_id", sa.Text(collation="C"), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("value", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.PrimaryKeyConstraint(
            "customer_id",
            "refund_source",
            "refund_id",
            "purchase_source",
            "purchase_id",
            name=op.f("pk_refund_allocations"),
        ),
    )
    op.create_table(
        "unallocated_refunds",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("source", sa.Text(collation="C"), nullable=False),
        sa.Column("transaction_id", sa.Text(collation="C"), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("amount", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("value", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("waits", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint(
            "customer_id", "source", "transaction_id", name=op.f("pk_unallocated_refunds")
        ),
    )
    op.create_index(
        "ix_refund_allocations_purchase",
        "refund_allocations",
        ["customer_id", "purchase_source", "purchase_id"],
        unique=False,
    )
    op.create_table(
        "rebuild_differences",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("operation_id", sa.Text(collation="C"), nullable=False),
        sa.Column("field", sa.Text(collation="C"), nullable=False),
        sa.Column("kept", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("derived", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint(
            "customer_id", "operation_id", "field", name=op.f("pk_rebuild_differences")
        ),
    )
    op.create_index(
        "ix_rebuild_differences_operation_id",
        "rebuild_differences",
        ["operation_id", "customer_id", "field"],
        unique=False,
    )
    op.drop_column("purchase_summaries", "purchase_value")
    # What is there was derived by the rules before these: it is derived anew in the background.
    for table in ("purchase_summaries", "stage_transitions"):
        version = sa.Column("derivation_version", sa.Integer(), nullable=False, server_default="1")
        op.add_column(table, version)
        op.alter_column(table, "derivation_version", server_default=None)
    op.execute(
        "INSERT INTO settings (key, value) SELECT 'derivation_version', '1'"
        " WHERE EXISTS (SELECT FROM customers)"
    )


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_table("rebuild_differences")
    op.execute("DELETE FROM settings WHERE key = 'derivation_version'")
    op.drop_column("stage_transitions", "derivation_version")
    op.drop_column("purchase_summaries", "derivation_version")
    op.add_column(
        "purchase_summaries",
        sa.Column("purchase_value", sa.Numeric(30, 4), nullable=False, server_default="0"),
    )
    op.alter_column("purchase_summaries", "purchase_value", server_default=None)
    op.execute("UPDATE purchase_summaries SET policy_version = 0")
    op.drop_index("ix_refund_allocations_purchase", table_name="refund_allocations")
    op.drop_table("unallocated_refunds")
    op.drop_table("refund_allocations")
