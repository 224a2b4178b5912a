"""what customers are found by, languages and time zones

Revision: 0009, after 0008.

What customers are found by is derived from their profiles: a worker fills it in the background,
some at a time. Until it has been there, those not written since are found by their ids alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns without a volatile default; build indexes CONCURRENTLY in an autocommit
# block; add constraints NOT VALID, then VALIDATE; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
COLUMNS = ("phone_e164", "preferred_language", "time_zone")
PREFIXES = {
    "name": sa.func.lower(sa.text("name")).collate("C"),
    "email": sa.func.lower(sa.text("email")).collate("C"),
    "phone": sa.text('phone COLLATE "C"'),
}


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    for column in COLUMNS:
        op.add_column("customers", sa.Column(column, sa.Text(), nullable=True))
    op.create_table(
        "customer_search",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("email", sa.Text(collation="C"), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("numbers", sa.Text(), nullable=False),
        sa.Column("terms", sa.ARRAY(sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer_search")),
    )
    op.create_index("ix_customer_search_email", "customer_search", ["email"])
    op.create_index(
        "ix_customer_search_terms", "customer_search", ["terms"], postgresql_using="gin"
    )
    for name in PREFIXES:
        op.drop_index(f"ix_customers_{name}_prefix", table_name="customers")


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    for name, expression in PREFIXES.items():
        op.create_index(f"ix_customers_{name}_prefix", "customers", [expression])
    op.drop_table("customer_search")
    op.execute("DELETE FROM settings WHERE key IN ('customer_search_filled', 'country')")
    for column in reversed(COLUMNS):
        op.drop_column("customers", column)
