"""indexes of queries

Revision: 0020, after 0019. Created 2026-11-26 21:00:00.

Nothing else: what is built concurrently commits what came before it in the same revision, and a
revision that broke off after that could not be run again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# The oldest revision whose release still works on this one.
oldest_served = "0018"

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
UPDATED = "ix_customers_updated_at"
WAITING = "ix_purchase_summaries_next_fact_at"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '30min'")
        for name in (UPDATED, WAITING):  # one that broke off may have left a piece
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.create_index(
            UPDATED,
            "customers",
            ["updated_at", "customer_id"],
            postgresql_concurrently=True,
        )
        op.create_index(
            WAITING,
            "purchase_summaries",
            ["next_fact_at"],
            postgresql_where=sa.text("next_fact_at IS NOT NULL"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_index(WAITING, table_name="purchase_summaries")
    op.drop_index(UPDATED, table_name="customers")
