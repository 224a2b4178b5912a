"""indexes of the call list

Revision: 0013, after 0012. Created 2026-11-26 09:45:00.

Nothing else: what is built concurrently commits what came before it in the same revision, and a
revision that broke off after that could not be run again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
COMPLAINTS = "ix_interactions_complaints"
VALUE = "ix_scores_value_to_save"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name in (COMPLAINTS, VALUE):  # one that broke off may have left a piece
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.create_index(
            COMPLAINTS,
            "interactions",
            ["customer_id", "occurred_on"],
            postgresql_where=sa.text("kind = 'complaint'"),
            postgresql_concurrently=True,
        )
        op.create_index(
            VALUE,
            "scores",
            ["run_id", "value_to_save", "customer_id"],
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_index(VALUE, table_name="scores")
    op.drop_index(COMPLAINTS, table_name="interactions")
