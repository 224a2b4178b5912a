"""who did what

Revision: 0017, after 0015. Created 2026-11-26 15:30:00.

Keys get a second secret, a rate, and when they were last used; each write leaves a row of what it
was. Keys of before see the personal data that they saw; see `docs/decisions/0044`.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
COLUMNS = {
    "previous_secret_hash": sa.LargeBinary(),
    "previous_ends_at": sa.DateTime(timezone=True),
    "rotated_at": sa.DateTime(timezone=True),
    "last_used_at": sa.DateTime(timezone=True),
    "rate_per_second": sa.Double(),
    "burst": sa.Integer(),
}
# To whom names and more were shown until now.
GRANT = """
UPDATE api_keys SET scopes = scopes || 'customers:read_pii'::text
WHERE scopes && ARRAY['customers:read', 'customers:write', 'scores:read', 'operations:read']
    AND NOT 'customers:read_pii' = ANY(scopes)"""
REVOKE = "UPDATE api_keys SET scopes = array_remove(scopes, 'customers:read_pii')"


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    for name, kind in COLUMNS.items():
        op.add_column("api_keys", sa.Column(name, kind, nullable=True))
    op.execute(GRANT)
    op.create_table(
        "audit_entries",
        sa.Column("transaction_number", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(collation="C"), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(collation="C"), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("customer_ids", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.Column("ids", postgresql.JSONB(), nullable=False),
        sa.Column("fields", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("transaction_number", "entry_id", name=op.f("pk_audit_entries")),
    )
    op.create_index(
        "ix_audit_entries_actor", "audit_entries", ["actor", "transaction_number", "entry_id"]
    )
    op.create_index(
        "ix_audit_entries_customer_ids",
        "audit_entries",
        ["customer_ids"],
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.create_index(
        "ix_audit_entries_recorded_at", "audit_entries", ["recorded_at"], postgresql_using="brin"
    )


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.drop_table("audit_entries")
    op.execute(REVOKE)
    for name in COLUMNS:
        op.drop_column("api_keys", name)
