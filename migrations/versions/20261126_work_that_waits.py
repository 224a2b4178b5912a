"""work that waits

Revision: 0016, after 0015. Created 2026-11-26 15:30:00.

Columns without a value, or with a constant one: no table is written anew. Which activations have
been recorded for everybody is taken from the settings, which have said it so far.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns without a volatile default; build indexes CONCURRENTLY in an autocommit
# block; add constraints NOT VALID, then VALIDATE; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
INSTANTS = {
    "operations": ("waiting_since", "waiting_until"),
    "operation_parts": ("not_before", "hindered_since"),
    "policy_activations": ("writers_until", "settled_at"),
}
# An activation that broke off is the last one, and the settings name another version.
SETTLED = """
UPDATE policy_activations
SET settled_at = activated_at, writers_until = activated_at + interval '1 hour'
WHERE activation_id < (SELECT max(activation_id) FROM policy_activations)
OR to_jsonb(version) = (SELECT value FROM settings WHERE key = 'settled_policy_version')
"""


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    for table, columns in INSTANTS.items():
        for column in columns:
            op.add_column(table, sa.Column(column, sa.DateTime(timezone=True), nullable=True))
    op.add_column("operations", sa.Column("waiting_for", sa.Text(), nullable=True))
    failures = sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False)
    op.add_column("operation_parts", failures)
    op.execute(SETTLED)


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.execute("DELETE FROM settings WHERE key IN ('housekeeping', 'last_policy_version')")
    op.drop_column("operation_parts", "failures")
    op.drop_column("operations", "waiting_for")
    for table, columns in reversed(INSTANTS.items()):
        for column in reversed(columns):
            op.drop_column(table, column)
