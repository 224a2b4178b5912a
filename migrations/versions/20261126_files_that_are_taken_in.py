"""files that are taken in

Revision: 0019, after 0018. Created 2026-11-26 18:10:00.

Imports wait for each other in no way, as their facts come to the same in any order: of them several
operations may be open. The index that forbids it of other kinds is made anew beside the old one.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# The oldest revision whose release still works on this one.
oldest_served = "0018"

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
OPEN = "state IN ('pending', 'running')"


def upgrade() -> None:
    # First, since it commits what came before it; all of it can be done again.
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS uq_operations_alone")
        op.create_index(
            "uq_operations_alone",
            "operations",
            ["kind"],
            unique=True,
            postgresql_where=sa.text(f"{OPEN} AND kind <> 'import'"),
            postgresql_concurrently=True,
        )
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS uq_operations_open")
    op.execute(LOCK_TIMEOUT)
    op.create_table(
        "imports",
        sa.Column("import_id", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(collation="C"), nullable=True),
        sa.Column("request", postgresql.JSONB(), nullable=False),
        sa.Column("layout", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("mapping", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("checkpoint", postgresql.JSONB(), nullable=False),
        sa.Column("tally", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("import_id", name=op.f("pk_imports")),
    )
    op.create_index("ix_imports_created_at", "imports", ["created_at", "import_id"])
    op.create_index("ix_imports_source", "imports", ["source", "created_at"])
    op.create_table(
        "import_pieces",
        sa.Column("import_id", sa.Text(collation="C"), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("import_id", "starts_at", name=op.f("pk_import_pieces")),
    )
    op.create_table(
        "import_rejections",
        sa.Column("import_id", sa.Text(collation="C"), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("field", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("import_id", "line", name=op.f("pk_import_rejections")),
    )
    op.create_table(
        "mappings",
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_mappings")),
    )
    op.create_table(
        "sources",
        sa.Column("source", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("trust_rank", sa.Integer(), nullable=False),
        sa.Column("consent_basis", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_sources")),
    )


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.execute("DELETE FROM operation_parts WHERE operation_id IN (SELECT import_id FROM imports)")
    op.execute("DELETE FROM operations WHERE kind = 'import'")
    for table in ("sources", "mappings", "import_rejections", "import_pieces", "imports"):
        op.drop_table(table)
    op.drop_index("uq_operations_alone", table_name="operations")
    op.create_index(
        "uq_operations_open", "operations", ["kind"], unique=True, postgresql_where=sa.text(OPEN)
    )
