"""groups of RFM and voided rows

Revision: 0007, after 0006. Created 2026-11-26 05:00:00.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns without a volatile default; build indexes CONCURRENTLY in an autocommit
# block; add constraints NOT VALID, then VALIDATE; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"

INDEXES = (
    ("ix_stage_transitions_voided_at", ["voided_at"], "voided_at IS NOT NULL"),
    (
        "ix_stage_transitions_superseded",
        ["customer_id", "transition_id"],
        "voided_at - recorded_at < '01:00:00'::interval",
    ),
)
# A row for each R from 1 to 5, in it each FM, the mean of F and M rounded down.
GROUPS = (
    "{{hibernating,hibernating,slipping,slipping,cant_lose_them},"
    "{hibernating,hibernating,slipping,slipping,cant_lose_them},"
    "{about_to_sleep,about_to_sleep,need_attention,regulars,regulars},"
    "{promising,rising,rising,regulars,regulars},"
    "{recent,rising,rising,champions,champions}}"
)
# And before, of F.
FORMER_GROUPS = (
    "{{hibernating,hibernating,at_risk,at_risk,cant_lose_them},"
    "{hibernating,hibernating,at_risk,at_risk,cant_lose_them},"
    "{about_to_sleep,about_to_sleep,need_attention,loyal,loyal},"
    "{promising,potential_loyalists,potential_loyalists,loyal,loyal},"
    "{new,potential_loyalists,potential_loyalists,champions,champions}}"
)


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.execute(
        "UPDATE models SET document = document"
        """ || '{"schema_version": 3, "rfm_given": {}, "rfm_classes": null}'::jsonb"""
    )
    _regroup(GROUPS, "(f + m) / 2", "fm", version=2)
    for name, columns, where in INDEXES:
        with op.get_context().autocommit_block():
            # One that broke off may have left a piece.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.create_index(
                name,
                "stage_transitions",
                columns,
                unique=False,
                postgresql_where=sa.text(where),
                postgresql_concurrently=True,
            )


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    for name, *_ in INDEXES:
        op.drop_index(name, table_name="stage_transitions")
    _regroup(FORMER_GROUPS, "f::int", "f", version=1)
    op.execute(
        "UPDATE models SET document = (document - 'rfm_given' - 'rfm_classes')"
        """ || '{"schema_version": 2}'::jsonb"""
    )


def _regroup(groups: str, column: str, name: str, *, version: int) -> None:
    """Name the groups of scores that are kept anew, and count the runs by them."""
    op.execute(
        f"UPDATE scores SET rfm_group = ('{groups}'::text[])[r][{column}]"  # noqa: S608  # ours
        " WHERE r IS NOT NULL"
    )
    op.execute(
        f"""
        UPDATE runs SET summary = summary || jsonb_build_object(
            'schema_version', {version},
            'cells', (SELECT coalesce(jsonb_agg(to_jsonb(cell)), '[]')
                FROM (SELECT r, {column} AS {name}, count(*) AS customers FROM scores
                    WHERE run_id = runs.run_id AND r IS NOT NULL GROUP BY 1, 2) AS cell),
            'groups', (SELECT coalesce(jsonb_object_agg(rfm_group, jsonb_build_object(
                    'customers', customers, 'revenue', revenue::text)), '{{}}')
                FROM (SELECT rfm_group, count(*) AS customers, sum(revenue) AS revenue FROM scores
                    WHERE run_id = runs.run_id AND rfm_group IS NOT NULL GROUP BY 1) AS one))
        WHERE summary IS NOT NULL
        """  # noqa: S608  # ours
    )
