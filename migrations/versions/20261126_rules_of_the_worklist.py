"""rules of the worklist

Revision: 0022, after 0021. Created 2026-11-26 22:30:00.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# The oldest revision whose release still works on this one.
oldest_served = "0018"

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.create_table(
        "worklist_rule_sets",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("activated_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_worklist_rule_sets")),
    )
    op.create_index("ix_worklist_rule_sets_activated_at", "worklist_rule_sets", ["activated_at"])


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_table("worklist_rule_sets")
