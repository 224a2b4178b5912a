"""reports that take long

Revision: 0023, after 0022. Created 2026-11-27 00:10:00.

Several reports may be made at a time. The index that forbids it of other kinds is made anew beside
the old one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# The oldest revision whose release still works on this one.
oldest_served = "0018"

OPEN = "state IN ('pending', 'running')"


def upgrade() -> None:
    # It commits what came before it; all of it can be done again.
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS uq_operations_one_open")
        op.create_index(
            "uq_operations_one_open",
            "operations",
            ["kind"],
            unique=True,
            postgresql_where=sa.text(f"{OPEN} AND kind NOT IN ('import', 'report')"),
            postgresql_concurrently=True,
        )
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS uq_operations_alone")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute(
        "DELETE FROM operation_parts WHERE operation_id IN"
        " (SELECT operation_id FROM operations WHERE kind = 'report')"
    )
    op.execute("DELETE FROM operations WHERE kind = 'report'")
    op.drop_index("uq_operations_one_open", table_name="operations")
    op.create_index(
        "uq_operations_alone",
        "operations",
        ["kind"],
        unique=True,
        postgresql_where=sa.text(f"{OPEN} AND kind <> 'import'"),
    )
