"""profiles with two times

Revision: 0008, after 0007.

A profile that is there already holds from the beginning, as one that was written once: it needs no
row. Whoever wrote it was not kept.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns without a volatile default; build indexes CONCURRENTLY in an autocommit
# block; add constraints NOT VALID, then VALIDATE; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.add_column(
        "customers", sa.Column("profile_holds_from", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("customers", sa.Column("profile_actor", sa.Text(), nullable=True))
    op.create_table(
        "profile_changes",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(collation="C"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("changes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "version", name=op.f("pk_profile_changes")),
    )


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_table("profile_changes")
    op.drop_column("customers", "profile_actor")
    op.drop_column("customers", "profile_holds_from")
