"""rhythm

Revision: 0010, after 0009. Created 2026-11-26 08:10:00.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns without a volatile default; build indexes CONCURRENTLY in an autocommit
# block; add constraints NOT VALID, then VALIDATE; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    # Models of before tell rhythm by their process alone; runs of before tell none.
    op.execute("UPDATE models SET document = document || '{\"schema_version\": 4}'::jsonb")
    op.add_column("scores", sa.Column("rhythm", sa.Text(), nullable=True))
    op.add_column("scores", sa.Column("chance_if_active", sa.Double(), nullable=True))
    reasons = sa.Column("call_reasons", sa.ARRAY(sa.Text()), nullable=False, server_default="{}")
    op.add_column("scores", reasons)
    op.alter_column("scores", "call_reasons", server_default=None)
    op.drop_column("scores", "at_risk")
    op.drop_column("scores", "level")


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.add_column("scores", sa.Column("level", sa.Text(), nullable=True))
    flag = sa.Column("at_risk", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("scores", flag)
    op.alter_column("scores", "at_risk", server_default=None)
    for name in ("call_reasons", "chance_if_active", "rhythm"):
        op.drop_column("scores", name)
    op.execute(
        "UPDATE models SET document = (document - 'rhythm' - 'regularity')"
        """ || '{"schema_version": 3}'::jsonb"""
    )
