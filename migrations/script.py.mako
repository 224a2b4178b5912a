<%! from app.postgres import schema %>\
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

# The oldest revision whose release still works on this one. It stays while a revision only adds
# what that release does without (expand), and is raised by what takes away (contract): to the
# revision of the first release that does without. See docs/releases.md.
oldest_served = ${repr(schema.revisions()[down_revision])}

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns that may be null or have a constant default; build indexes CONCURRENTLY in
# an autocommit block of a revision of their own, as it commits what came before (behind that nobody
# waits: SET lock_timeout = '30min'); add constraints NOT VALID, and VALIDATE them in the next
# revision; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    ${downgrades if downgrades else "pass"}
