"""policies and interactions

Revision: 0002, after 0001. Created 2026-11-21 22:38:56.363599.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns without a volatile default; build indexes CONCURRENTLY in an autocommit
# block; add constraints NOT VALID, then VALIDATE; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.create_table(
        "interaction_days",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("occurred_on", sa.Date(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "customer_id", "kind", "occurred_on", name=op.f("pk_interaction_days")
        ),
    )
    op.create_table(
        "interaction_revisions",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("source", sa.Text(collation="C"), nullable=False),
        sa.Column("interaction_id", sa.Text(collation="C"), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "customer_id",
            "source",
            "interaction_id",
            "revision",
            name=op.f("pk_interaction_revisions"),
        ),
    )
    op.create_table(
        "interactions",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("source", sa.Text(collation="C"), nullable=False),
        sa.Column("interaction_id", sa.Text(collation="C"), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("occurred_on", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("campaign", sa.Text(), nullable=True),
        sa.Column("score", sa.Float(precision=53), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column(
            "attributes", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "customer_id", "source", "interaction_id", name=op.f("pk_interactions")
        ),
    )
    op.create_index(
        "ix_interactions_occurred_at", "interactions", ["customer_id", "occurred_at"], unique=False
    )
    op.create_index(
        "ix_interactions_score",
        "interactions",
        ["customer_id", "kind", "occurred_at"],
        unique=False,
        postgresql_where=sa.text("score IS NOT NULL"),
    )
    op.create_table(
        "policy_activations",
        sa.Column("activation_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("activation_id", name=op.f("pk_policy_activations")),
    )
    op.create_table(
        "stage_overrides",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("override_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stands_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "override_id", name=op.f("pk_stage_overrides")),
    )
    op.add_column("customers", sa.Column("contract_ends_on", sa.Date(), nullable=True))
    op.add_column(
        "operation_parts",
        sa.Column(
            "outcome", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
    )
    op.add_column("policies", sa.Column("preset", sa.Text(), nullable=True))
    op.add_column("policies", sa.Column("created_by", sa.Text(), nullable=True))
    op.create_unique_constraint(op.f("uq_policies_preset"), "policies", ["preset"])
    op.add_column("purchase_summaries", sa.Column("gap_1", sa.Integer(), nullable=True))
    op.add_column("purchase_summaries", sa.Column("gap_2", sa.Integer(), nullable=True))
    op.add_column("purchase_summaries", sa.Column("gap_3", sa.Integer(), nullable=True))
    op.add_column(
        "purchase_summaries", sa.Column("value_2", sa.Numeric(precision=30, scale=4), nullable=True)
    )
    op.add_column(
        "purchase_summaries", sa.Column("value_3", sa.Numeric(precision=30, scale=4), nullable=True)
    )
    # No policy has the version 0: what was kept before is counted anew when next needed.
    op.add_column(
        "purchase_summaries",
        sa.Column("policy_version", sa.Integer(), nullable=False, server_default="0"),
    )
    op.alter_column("purchase_summaries", "policy_version", server_default=None)
    # Version 1 is written again by `clm migrate`, with the same rules in the newer notation.
    op.execute("DELETE FROM policies WHERE version = 1")
    op.create_index(
        "ix_stage_transitions_effective_at",
        "stage_transitions",
        ["effective_at", "customer_id", "transition_id"],
        unique=False,
        postgresql_where=sa.text("voided_at IS NULL"),
    )


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_index(
        "ix_stage_transitions_effective_at",
        table_name="stage_transitions",
        postgresql_where=sa.text("voided_at IS NULL"),
    )
    op.drop_column("purchase_summaries", "policy_version")
    op.drop_column("purchase_summaries", "value_3")
    op.drop_column("purchase_summaries", "value_2")
    op.drop_column("purchase_summaries", "gap_3")
    op.drop_column("purchase_summaries", "gap_2")
    op.drop_column("purchase_summaries", "gap_1")
    op.drop_constraint(op.f("uq_policies_preset"), "policies", type_="unique")
    op.drop_column("policies", "created_by")
    op.drop_column("policies", "preset")
    op.execute("DELETE FROM policies")
    op.execute("UPDATE settings SET value = '1' WHERE key = 'active_policy_version'")
    op.drop_column("operation_parts", "outcome")
    op.drop_column("customers", "contract_ends_on")
    op.drop_table("stage_overrides")
    op.drop_table("policy_activations")
    op.drop_index(
        "ix_interactions_score",
        table_name="interactions",
        postgresql_where=sa.text("score IS NOT NULL"),
    )
    op.drop_index("ix_interactions_occurred_at", table_name="interactions")
    op.drop_table("interactions")
    op.drop_table("interaction_revisions")
    op.drop_table("interaction_days")
