"""functions of the owner

Revision: 0018, after 0015. Created 2026-11-26 15:45:00.

What the application removes from ledger and history it removes by these, so that its role needs no
right to delete there. They do one thing each, and nothing that cannot be told afterwards: `retain`
takes facts out of force and keeps them as revisions, `prune` drops transitions that are voided and
entries of the audit that are old.
Their search path is fixed, with temporary tables last, so that nobody can put a table in the way.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
OWNERS = "SECURITY DEFINER SET search_path = public, pg_temp"
FACTS = {"transaction": "kind", "interaction": "kind", "churn_record": "reason"}
NAMES = (*(f"retain_{noun}s" for noun in FACTS), "prune_transitions", "prune_audit")
PRUNE = f"""
CREATE FUNCTION prune_transitions(customer_ids text[], transition_ids bigint[]) RETURNS void
LANGUAGE sql {OWNERS} AS $$
    DELETE FROM stage_transitions t
     WHERE t.customer_id = ANY($1) AND t.transition_id = ANY($2) AND t.voided_at IS NOT NULL
$$"""  # noqa: S608  # constants

# Of the audit the last thirty days stay, whatever is asked.
PRUNE_AUDIT = f"""
CREATE FUNCTION prune_audit(bigint, bigint, interval) RETURNS bigint
LANGUAGE plpgsql {OWNERS} AS $$
DECLARE gone bigint;
BEGIN
    DELETE FROM audit_entries a WHERE (a.transaction_number, a.entry_id) <= ($1, $2)
        AND a.recorded_at < now() - greatest($3, interval '30 days');
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$"""  # noqa: S608  # constants


def retain(noun: str, kind: str) -> str:
    """Return the function for one family of facts.

    Of a single customer, who is bound as such, a sharded database asks one server; several are not
    told apart beside the join (docs/decisions/0026).
    """
    same = (
        "t.customer_id = asked.customer_id AND t.source = asked.source"
        f" AND t.{noun}_id = asked.fact_id"
    )
    asked = "unnest($1, $2, $3) AS asked (customer_id, source, fact_id)"

    def moved(also: str) -> str:
        return f"""
        INSERT INTO {noun}_revisions
            (customer_id, source, {noun}_id, revision, fingerprint, content, received_at)
        SELECT t.customer_id, t.source, t.{noun}_id, t.revision, t.fingerprint,
               to_jsonb(t) - ARRAY['customer_id', 'source', '{noun}_id', 'revision',
                                   'fingerprint', 'received_at'], t.received_at
          FROM {asked} CROSS JOIN LATERAL
               (SELECT * FROM {noun}s t WHERE {same}{also} OFFSET 0) t;
        RETURN QUERY DELETE FROM {noun}s t USING {asked} WHERE {same}{also}
            RETURNING t.customer_id, t.{kind}, t.occurred_on;"""  # noqa: S608  # nouns are ours

    return f"""
CREATE FUNCTION retain_{noun}s(text[], text[], text[])
RETURNS TABLE (of_customer text, of_kind text, of_day date)
LANGUAGE plpgsql {OWNERS} AS $$
DECLARE whose text := ($1)[1];
BEGIN
    IF whose = ALL ($1) THEN{moved(" AND t.customer_id = whose")}
    ELSE{moved("")}
    END IF;
END $$"""


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    for noun, kind in FACTS.items():
        op.execute(retain(noun, kind))
    op.execute(PRUNE)
    op.execute(PRUNE_AUDIT)
    for name in NAMES:
        op.execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    for name in NAMES:
        op.execute(f"DROP FUNCTION {name}")
