"""value to save and terms of lifetime value

Revision: 0011, after 0010. Created 2026-11-26 08:15:00.

What was at risk by silence becomes what can still be won back: another number. Rows of earlier
runs have none, and their lists are by probability until the next run. Models of before keep how
they were fitted: lifetime value over a year at 10 % by revenue, spend learnt from repeat purchases.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# A statement that waits for a lock makes every later request wait behind it: give up soon, and
# run again. Add columns without a volatile default; build indexes CONCURRENTLY in an autocommit
# block; add constraints NOT VALID, then VALIDATE; drop a column one release after its last use.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
TERMS = '{"horizon_days": 365, "annual_discount": 0.1, "basis": "revenue"}'
EVIDENCE = '{"evidence": "repeat_purchases", "comparison": null}'


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.execute(
        "UPDATE models SET document = document || jsonb_build_object('schema_version', 4,"  # noqa: S608  # constants
        f" 'clv', '{TERMS}'::jsonb, 'margins', NULL)"
    )
    op.execute(
        "UPDATE models SET document = jsonb_set(document, '{spend}',"  # noqa: S608  # constants
        f" (document->'spend') || '{EVIDENCE}'::jsonb) WHERE document ? 'spend'"
    )
    _rename("value_at_risk", "value_to_save", version=3)


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.execute(
        "UPDATE models SET document = (document - 'clv' - 'margins' #- '{spend,evidence}'"
        " #- '{spend,comparison}')"
    )
    _rename("value_to_save", "value_at_risk", version=2)
    op.create_index("ix_scores_value_at_risk", "scores", ["run_id", "value_at_risk", "customer_id"])


def _rename(old: str, new: str, *, version: int) -> None:
    """Put a column that is not known yet in place of one that meant something else."""
    op.drop_column("scores", old)  # and its index
    op.add_column("scores", sa.Column(new, sa.Numeric(precision=30, scale=4), nullable=True))
    op.execute(
        f"""
        UPDATE runs SET summary = summary || jsonb_build_object(
            'schema_version', {version},
            'stages', (SELECT coalesce(jsonb_object_agg(stage,
                    (totals - '{old}') || jsonb_build_object('{new}', NULL)), '{{}}')
                FROM jsonb_each(summary->'stages') AS of_stage (stage, totals)))
        WHERE summary IS NOT NULL
        """  # noqa: S608  # constants
    )
