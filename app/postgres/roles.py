"""The role of the application: what it may do on the schema that the owner has made.

It reads and writes, and deletes what is derived or has had its time. Of ledger and history it
removes nothing but by the functions of the owner (`prune_…`, `retain_…`), and it makes no tables
but those of runs. See `docs/decisions/0045`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

RUNS: Final = "runs"
DELETED: Final = frozenset(
    {
        "customer_search",
        "idempotency_keys",
        "interaction_days",
        "operation_parts",
        "operations",
        "policies",
        "purchase_days",
        "purchase_summaries",
        "rebuild_differences",
        "refund_allocations",
        "runs",
        "unallocated_refunds",
    }
)
"""Tables from which the application deletes: from no other one."""
VOIDED: Final = ("voided_at", "voided_by", "void_reason")
LEDGER: Final[Mapping[str, tuple[str, ...]]] = {
    "audit_entries": (),
    "churn_record_revisions": VOIDED,
    "churn_records": (),
    "interaction_revisions": VOIDED,
    "interactions": (),
    "policy_activations": ("settled_at", "writers_until"),
    "profile_changes": (),
    "stage_overrides": (),
    "stage_transitions": ("voided_at",),
    "transaction_revisions": VOIDED,
    "transactions": (),
}
"""Tables that are added to, each with the columns that may change after that."""
READ: Final = frozenset({"alembic_version"})
"""Tables that migrations alone write."""

_REFUSED = "42501"
_COLUMNS = text(
    "SELECT c.relname, array_agg(CAST(a.attname AS text)) FROM pg_class c"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " WHERE c.relkind IN ('r', 'p') AND c.relnamespace = CAST('public' AS regnamespace)"
    " GROUP BY c.relname"
)
_FUNCTIONS = text(
    "SELECT CAST(CAST(oid AS regprocedure) AS text) FROM pg_proc"
    " WHERE prosecdef AND pronamespace = CAST('public' AS regnamespace)"
)
CLOSE: Final = """
DO $$
DECLARE function text;
BEGIN
  FOR function IN
    SELECT CAST(oid AS regprocedure) FROM pg_proc
     WHERE prosecdef AND pronamespace = CAST('public' AS regnamespace)
       AND has_function_privilege('public', oid, 'EXECUTE')
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', function);
  END LOOP;
END $$
"""
"""Leaves the functions of the owner to those alone to whom they are granted: what is restored
without rights may be run by anybody."""
_RIGHTS = text(
    "SELECT r.rolname AS name, r.rolsuper AS is_superuser,"
    " pg_has_role(r.oid, (SELECT relowner FROM pg_class"
    "  WHERE oid = CAST('settings' AS regclass)), 'MEMBER') AS is_owner,"
    " ARRAY(SELECT CAST(p.oid AS regprocedure)::text FROM pg_proc p WHERE p.prosecdef"
    "  AND p.pronamespace = CAST('public' AS regnamespace)"
    "  AND has_function_privilege('public', p.oid, 'EXECUTE')) AS open_to_all,"
    " CASE WHEN has_schema_privilege(r.oid, CAST(:runs AS text), 'CREATE') THEN ARRAY[]::text[]"
    "  ELSE ARRAY['CREATE in the schema ' || CAST(:runs AS text)] END"
    " || ARRAY(SELECT 'SELECT on ' || t.relname FROM pg_class t WHERE t.relkind IN ('r', 'p')"
    "  AND t.relnamespace = CAST('public' AS regnamespace)"
    "  AND NOT has_table_privilege(r.oid, t.oid, 'SELECT') ORDER BY 1)"
    " || ARRAY(SELECT 'INSERT on ' || t.relname FROM pg_class t WHERE t.relkind IN ('r', 'p')"
    "  AND t.relnamespace = CAST('public' AS regnamespace) AND t.relname <> ALL(:read)"
    "  AND NOT has_table_privilege(r.oid, t.oid, 'INSERT') ORDER BY 1)"
    " || ARRAY(SELECT 'EXECUTE of ' || p.proname FROM pg_proc p WHERE p.prosecdef"
    "  AND p.pronamespace = CAST('public' AS regnamespace)"
    "  AND NOT has_function_privilege(r.oid, p.oid, 'EXECUTE') ORDER BY 1) AS lacking,"
    " ARRAY(SELECT a.word || ' ' || t.relname FROM pg_class t"
    "  CROSS JOIN unnest(ARRAY['DELETE', 'TRUNCATE']) AS a (word)"
    "  WHERE t.relnamespace = CAST('public' AS regnamespace) AND t.relname = ANY(:ledger)"
    "  AND has_table_privilege(r.oid, t.oid, a.word) ORDER BY 1) AS removing"
    " FROM pg_roles r WHERE r.rolname = coalesce(CAST(:role AS text), current_user)"
)
_CLOSED = text(
    "SELECT name FROM unnest(CAST(:tables AS text[])) AS name"
    " CROSS JOIN LATERAL to_regclass('public.' || name) AS t (id)"
    " WHERE NOT (has_table_privilege(t.id, 'SELECT') AND"
    "  (name = ANY(:read) OR has_table_privilege(t.id, 'INSERT'))) ORDER BY name"
)
_ROLE = text(
    "SELECT r.rolsuper, pg_has_role(r.oid, c.relowner, 'MEMBER')"
    " FROM pg_roles r, pg_class c WHERE r.rolname = :role AND c.oid = CAST('settings' AS regclass)"
)
_RUNS_OF_OTHERS = text(
    "SELECT relname FROM pg_class WHERE relkind = 'r'"
    " AND relnamespace = CAST(:schema AS regnamespace)"
    " AND relowner <> (SELECT oid FROM pg_roles WHERE rolname = :role) ORDER BY relname"
)


class RoleRefused(RuntimeError):
    """The role cannot be what the application works as; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a role may do of what it needs, and of what the application must not do."""

    name: str
    is_superuser: bool
    is_owner: bool
    """Of the tables, which it may then drop."""
    open_to_all: list[str]
    """Functions of the owner that anybody may run."""
    lacking: list[str]
    removing: list[str]
    """How it may remove rows of the ledger, but by the functions of the owner."""


async def rights(connection: AsyncConnection, role: str | None) -> Rights | None:
    """Return the rights of a role, of that of the connection if none is named, if there is one."""
    asked = {"role": role, "runs": RUNS, "read": sorted(READ), "ledger": sorted(LEDGER)}
    row = (await connection.execute(_RIGHTS, asked)).one_or_none()
    return None if row is None else Rights(*row)


async def closed(connection: AsyncConnection, tables: Collection[str]) -> list[str]:
    """Return which of some tables, if they are there, whoever is connected cannot work on."""
    asked = {"tables": sorted(tables), "read": sorted(READ)}
    return list(await connection.scalars(_CLOSED, asked))


async def close(engine: AsyncEngine) -> None:
    """Leave the functions of the owner to whom they are granted."""
    async with engine.begin() as connection:
        await connection.execute(text(CLOSE))


async def allow(engine: AsyncEngine, role: str) -> None:
    """Let a role do what the application does, and nothing else; make it if it is not there.

    All in one transaction: whoever works as that role notices nothing.
    """
    try:
        async with engine.begin() as connection:
            await _require(connection, role)
            for statement in await _grants(connection, role):
                await connection.execute(text(statement))
            await _hand_over_runs(connection, role)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _REFUSED:
            raise
        raise RoleRefused(
            f"`clm migrate` may not make, or grant to, the role {role}: run it as the owner of"
            f" the tables, after a superuser has run: CREATE ROLE {role} LOGIN; GRANT {role} TO"
            " the owner"
        ) from None


async def _require(connection: AsyncConnection, role: str) -> None:
    """Make the role if there is none; refuse one that could do everything anyway."""
    found = (await connection.execute(_ROLE, {"role": role})).one_or_none()
    if found is None:
        await connection.execute(text(f'CREATE ROLE "{role}" LOGIN'))
        await connection.execute(text(f'GRANT "{role}" TO CURRENT_USER'))
    elif any(found):
        raise RoleRefused(
            f"CLM_APPLICATION_ROLE={role} is a superuser, or owns the tables, or is a member of"
            " their owner: name another role, and run `clm migrate` as the owner"
        )


async def _grants(connection: AsyncConnection, role: str) -> list[str]:
    """Return the statements after which the role may do what it needs, whatever it was before."""
    columns_of = {row[0]: set(row[1]) for row in await connection.execute(_COLUMNS)}
    tables = set(columns_of)
    functions = list(await connection.scalars(_FUNCTIONS))
    changed = tables - READ
    statements = [
        f'REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "{role}"',
        f'GRANT USAGE ON SCHEMA public TO "{role}"',
        f'GRANT USAGE, CREATE ON SCHEMA {RUNS} TO "{role}"',
        _grant("SELECT", tables, role),
        _grant("INSERT", changed, role),
        _grant("UPDATE", changed - LEDGER.keys(), role),
        _grant("DELETE", changed & DELETED, role),
    ]
    for table, columns in LEDGER.items():
        if changing := sorted(columns_of.get(table, set()).intersection(columns)):
            statements.append(_grant(f"UPDATE ({', '.join(changing)})", {table}, role))
    return statements + [f'GRANT EXECUTE ON FUNCTION {each} TO "{role}"' for each in functions]


def _grant(right: str, tables: set[str], role: str) -> str:
    return f'GRANT {right} ON {", ".join(sorted(tables))} TO "{role}"'


async def _hand_over_runs(connection: AsyncConnection, role: str) -> None:
    """Give the tables of runs to the role that will drop them."""
    asked = {"schema": RUNS, "role": role}
    for table in (await connection.scalars(_RUNS_OF_OTHERS, asked)).all():
        await connection.execute(text(f'ALTER TABLE {RUNS}.{table} OWNER TO "{role}"'))
