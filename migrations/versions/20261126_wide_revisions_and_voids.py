"""wide revisions and voids

Revision: 0005, after 0004. Created 2026-11-26 04:55:00.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
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
    for noun in FACTS:
        revisions = f"{noun}_revisions"
        op.add_column(revisions, sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True))
        op.add_column(revisions, sa.Column("voided_by", sa.Text(), nullable=True))
        op.add_column(revisions, sa.Column("void_reason", sa.Text(), nullable=True))
        op.create_index(
            f"ix_{revisions}_voided",
            revisions,
            ["customer_id", "source", f"{noun}_id"],
            unique=False,
            postgresql_where=sa.text("voided_at IS NOT NULL"),
        )
    op.add_column(
        "transactions",
        sa.Column(
            "attributes", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
    )
    op.create_index("ix_transactions_at", "transactions", ["occurred_at"], unique=False)
    op.create_index("ix_transactions_received_at", "transactions", ["received_at"], unique=False)


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_index("ix_transactions_received_at", table_name="transactions")
    op.drop_index("ix_transactions_at", table_name="transactions")
    op.drop_column("transactions", "attributes")
    for noun in FACTS:
        revisions = f"{noun}_revisions"
        op.drop_index(f"ix_{revisions}_voided", table_name=revisions)
        for column in ("void_reason", "voided_by", "voided_at"):
            op.drop_column(revisions, column)
    for table in TABLES:
        op.alter_column(table, "revision", type_=sa.Integer(), existing_type=sa.BigInteger())
