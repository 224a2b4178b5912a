"""purchase days of long histories

Revision: 0015, after 0014. Created 2026-11-26 11:20:00.

No rows are made here: of a customer who has a long history already they are made with the next
fact, or by the rebuild that a new version of what is derived starts by itself.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns without a volatile default; build indexes CONCURRENTLY in an autocommit
# block; add constraints NOT VALID, then VALIDATE; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.create_table(
        "purchase_days",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("purchased_on", sa.Date(), nullable=False),
        sa.Column("purchases", sa.Integer(), nullable=False),
        sa.Column("value", sa.Numeric(precision=30, scale=4), nullable=False),
        sa.Column("turns", postgresql.ARRAY(sa.DateTime(timezone=True)), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "purchased_on", name=op.f("pk_purchase_days")),
    )


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_table("purchase_days")
