"""interaction kinds and churn records

Revision: 0006, after 0005. Created 2026-11-26 04:55:50.316523.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns without a volatile default; build indexes CONCURRENTLY in an autocommit
# block; add constraints NOT VALID, then VALIDATE; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"

# Models keep the scale that they were learnt with: the best answer of their time.
_KEEP_SCALES = """
UPDATE models SET document = document - 'satisfaction_scale' || jsonb_build_object(
    'schema_version', 2,
    'interaction_kinds', jsonb_build_object('survey', jsonb_build_object(
        'phase', 'none',
        'contact', true,
        'scale', jsonb_build_object(
            'min', 0,
            'max', document->'satisfaction_scale',
            'good_from', document->'satisfaction_scale'
        )
    ))
) WHERE document ? 'satisfaction_scale'
"""
# Before there was one scale for all answers.
_FORGET_SCALES = """
UPDATE models SET document = document - 'interaction_kinds' || jsonb_build_object(
    'schema_version', 1,
    'satisfaction_scale',
    coalesce(document #> '{interaction_kinds,survey,scale,max}', to_jsonb(1.0))
) WHERE document ? 'interaction_kinds'
"""


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.create_table(
        "churn_record_revisions",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("source", sa.Text(collation="C"), nullable=False),
        sa.Column("churn_record_id", sa.Text(collation="C"), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("voided_by", sa.Text(), nullable=True),
        sa.Column("void_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "customer_id",
            "source",
            "churn_record_id",
            "revision",
            name=op.f("pk_churn_record_revisions"),
        ),
    )
    op.create_index(
        "ix_churn_record_revisions_voided",
        "churn_record_revisions",
        ["customer_id", "source", "churn_record_id"],
        unique=False,
        postgresql_where=sa.text("voided_at IS NOT NULL"),
    )
    op.create_table(
        "churn_records",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("source", sa.Text(collation="C"), nullable=False),
        sa.Column("churn_record_id", sa.Text(collation="C"), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("occurred_on", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("competitor", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "customer_id", "source", "churn_record_id", name=op.f("pk_churn_records")
        ),
    )
    op.create_index(
        "ix_churn_records_occurred_at",
        "churn_records",
        ["customer_id", "occurred_at"],
        unique=False,
    )
    op.create_table(
        "interaction_kinds",
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "name", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("contact", sa.Boolean(), nullable=False),
        sa.Column(
            "scale", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("outcomes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "phase IN ('presale', 'sale', 'aftersale', 'none')",
            name=op.f("ck_interaction_kinds_phase"),
        ),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_interaction_kinds")),
    )
    op.add_column("interactions", sa.Column("outcome", sa.Text(), nullable=True))
    op.add_column(
        "policies",
        sa.Column(
            "interaction_kinds",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
        ),
    )
    op.execute(_KEEP_SCALES)


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.execute(_FORGET_SCALES)
    op.drop_column("policies", "interaction_kinds")
    op.drop_column("interactions", "outcome")
    op.drop_table("interaction_kinds")
    op.execute("DELETE FROM settings WHERE key = 'interaction_kinds'")
    op.drop_index("ix_churn_records_occurred_at", table_name="churn_records")
    op.drop_table("churn_records")
    op.drop_table("churn_record_revisions")
