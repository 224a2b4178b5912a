"""${message}

Revision: ${up_revision}, after ${down_revision | comma,n}. Created ${create_date}.
"""

from alembic import op
import sqlalchemy as sa
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns without a volatile default; build indexes CONCURRENTLY in an autocommit
# block of a revision of their own, as it commits what came before; add constraints NOT VALID, then
# VALIDATE; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    ${downgrades if downgrades else "pass"}
