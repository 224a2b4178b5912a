"""doors

Revision: doors, after 0003. Created 2026-11-26 05:05:00.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "doors"
down_revision = "0003"
branch_labels = None
depends_on = None

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns without a volatile default; build indexes CONCURRENTLY in an autocommit
# block; add constraints NOT VALID, then VALIDATE; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
FACTS = ("transaction", "interaction")
TABLES = tuple(f"{noun}{kind}" for noun in FACTS for kind in ("s", "_revisions"))


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    # Each is written anew, once, while nobody else reads or writes it.
    for table in TABLES:
        op.alter_column(table, "revision", type_=sa.BigInteger(), existing_type=sa.Integer())
    op.add_column(
        "transactions",
        sa.Column(
            "attributes", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
    )


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_column("transactions", "attributes")
    for table in TABLES:
        op.alter_column(table, "revision", type_=sa.Integer(), existing_type=sa.BigInteger())
