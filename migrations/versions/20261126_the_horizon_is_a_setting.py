"""the horizon is a setting

Revision: 0012, after 0011. Created 2026-11-26 08:20:00.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns without a volatile default; build indexes CONCURRENTLY in an autocommit
# block; add constraints NOT VALID, then VALIDATE; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.execute(
        "UPDATE models SET document = document"
        """ || '{"suggested_horizon_days": null, "refit": null}'::jsonb"""
    )
    # A horizon that nobody asked for came from the data; from now on the setting has its place,
    # and a model fitted for another one is fitted anew by the next run.
    op.execute(
        """UPDATE models SET document = document || '{"horizon_rule": "setting"}'::jsonb"""
        " WHERE document ->> 'horizon_rule' <> 'asked_for'"
    )


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.execute("UPDATE models SET document = document - 'suggested_horizon_days' - 'refit'")
