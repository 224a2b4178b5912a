"""What `clm doctor` asks of the database: each check looks at one thing, and says what to do."""

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import migrate
from app.config import Settings
from app.lifecycle.version import DERIVATION_VERSION
from app.postgres import roles, schema
from app.schemas.keys import ADMIN
from app.services.common.deployment_settings import LAST_BACKUP, LAST_HOUSEKEEPING, SettingsMismatch

Status = Literal["ok", "warn", "fail"]
WORKER_CONNECTIONS = 3
_OLDEST_SERVER = 15
_CLOCK_WARN, _CLOCK_FAIL = 2.0, 60.0
_SOON = timedelta(days=14)
_LATE = timedelta(minutes=10)
_HOLDING = timedelta(minutes=1)
_BACKUP_EVERY = timedelta(days=2)
_MODEL_OLD = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, and what to do if it is not well."""

    check: str
    status: Status
    detail: str
    advice: str | None = None

    def document(self) -> dict[str, str | None]:
        """Return it as JSON has it."""
        return asdict(self)


Check = Callable[[AsyncConnection, Settings], AsyncIterator[Finding]]


async def _row(connection: AsyncConnection, query: str, **given: object) -> Any:
    return (await connection.execute(text(query), given)).one()


def _judged(
    name: str, detail: str, advice: str, *, fail: bool = False, warn: bool = False
) -> Finding:
    status: Status = "fail" if fail else "warn" if warn else "ok"
    return Finding(name, status, detail, None if status == "ok" else advice)


async def server(connection: AsyncConnection, _: Settings) -> AsyncIterator[Finding]:
    """Version, encoding and collation, clock, and whether commits are durable."""
    row = await _row(
        connection,
        "SELECT current_setting('server_version') AS version, clock_timestamp() AS now,"
        " CAST(current_setting('server_version_num') AS int) / 10000 AS major,"
        " current_setting('server_encoding') AS encoding, datcollate AS collation,"
        " datcollversion AS collated_by, pg_database_collation_actual_version(oid) AS collates_by,"
        " current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages,"
        " current_setting('synchronous_commit') AS commits,"
        " current_setting('autovacuum') AS vacuum, current_setting('track_counts') AS counts"
        " FROM pg_database WHERE datname = current_database()",
    )
    away = abs((row.now - datetime.now(UTC)).total_seconds())
    yield _judged(
        "server",
        f"PostgreSQL {row.version}",
        f"use PostgreSQL {_OLDEST_SERVER} or newer",
        fail=row.major < _OLDEST_SERVER,
    )
    yield _judged(
        "encoding",
        row.encoding,
        "make the database with ENCODING 'UTF8'",
        fail=row.encoding != "UTF8",
    )
    yield _judged(
        "collation",
        f"{row.collation}, version {row.collates_by or 'none'}",
        "REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION",
        warn=row.collated_by != row.collates_by,
    )
    yield _judged(
        "clock",
        f"{away:.1f} s from that of the database",
        "synchronise the clocks of both machines",
        fail=away > _CLOCK_FAIL,
        warn=away > _CLOCK_WARN,
    )
    yield _judged(
        "durability",
        f"fsync {row.fsync}, full_page_writes {row.pages}, synchronous_commit {row.commits}",
        "switch all on, or a crash loses what was acknowledged",
        fail="off" in (row.fsync, row.pages, row.commits),
    )
    yield _judged(
        "autovacuum",
        f"autovacuum {row.vacuum}, track_counts {row.counts}",
        "switch both on, or tables grow and plans go wrong",
        fail="off" in (row.vacuum, row.counts),
    )


async def connections(connection: AsyncConnection, settings: Settings) -> AsyncIterator[Finding]:
    """Whether all that may be asked for is there."""
    row = await _row(
        connection,
        "SELECT CAST(current_setting('max_connections') AS int)"
        " - CAST(current_setting('superuser_reserved_connections') AS int) AS most,"
        " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used",
    )
    wanted = settings.processes * settings.pool_size + WORKER_CONNECTIONS
    yield _judged(
        "connections",
        f"{row.used} of {row.most} in use; an API here with a worker takes up to {wanted}",
        "raise max_connections, or lower CLM_POOL_SIZE or CLM_PROCESSES",
        fail=wanted > row.most,
        warn=row.used > 0.9 * row.most,
    )


async def revision(connection: AsyncConnection, settings: Settings) -> AsyncIterator[Finding]:
    """Whether this version works on the schema."""
    try:
        await migrate.verify(connection.engine, settings)
    except (migrate.SchemaOutdated, SettingsMismatch) as error:
        yield Finding("schema", "fail", str(error), "run `clm migrate`, or correct the environment")
    else:
        yield Finding("schema", "ok", f"serves this version, whose own is {schema.head()}")


async def rights(connection: AsyncConnection, settings: Settings) -> AsyncIterator[Finding]:
    """Whether the role may do what API and workers do, and no more than it should."""
    named = settings.application_role
    found = await roles.rights(connection, named)
    as_owner = "run `clm migrate` as the owner of the tables"
    if found is None:
        yield Finding("role", "fail", f"there is no role {named}", as_owner)
        return
    too_much = [f"{each} may be run by anybody" for each in found.open_to_all]
    if found.is_owner and named is not None:
        too_much.append("owns the tables, which it may drop")
    elif not found.is_owner:
        too_much += [f"may {each}" for each in found.removing]
    told = [found.name, *(f"lacks {each}" for each in found.lacking), *too_much]
    if found.is_owner and not too_much:
        told.append("owns the tables: whoever takes over the application may drop them")
    yield _judged(
        "role",
        ", ".join([*told, *(["a superuser"] if found.is_superuser else [])]),
        as_owner if found.lacking or too_much else "use a role that is no superuser",
        fail=bool(found.lacking or too_much),
        warn=found.is_superuser,
    )


async def transactions(connection: AsyncConnection, _: Settings) -> AsyncIterator[Finding]:
    """Whether something holds back what is removed and told in order, or has others wait."""
    row = await _row(
        connection,
        "SELECT now() AS now, min(xact_start) FILTER (WHERE state <> 'active') AS idle,"
        " (SELECT min(prepared) FROM pg_prepared_xacts"
        "  WHERE database = current_database()) AS prepared,"
        " (SELECT min(waitstart) FROM pg_locks WHERE NOT granted) AS waiting"
        " FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend'",
    )
    ages = {"idle in a transaction": row.idle, "prepared": row.prepared, "a lock": row.waiting}
    late = [f"{each} since {at:%H:%M:%S}" for each, at in ages.items()
            if at is not None and row.now - at > _HOLDING]  # fmt: skip
    yield _judged(
        "transactions",
        ", ".join(late) or "none stands still",
        "see pg_stat_activity and pg_blocking_pids(): it keeps vacuum and GET /v1/audit back",
        warn=bool(late),
    )


async def keys(connection: AsyncConnection, _: Settings) -> AsyncIterator[Finding]:
    """Whether somebody may administer, and whose key ends soon."""
    row = await _row(
        connection,
        "SELECT count(*) FILTER (WHERE CAST(:admin AS text) = ANY(scopes)) AS admins,"
        " count(*) AS valid, array_agg(key_id ORDER BY key_id)"
        "  FILTER (WHERE expires_at < now() + CAST(:soon AS interval)) AS ending"
        " FROM api_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
        admin=ADMIN,
        soon=_SOON,
    )
    yield _judged(
        "keys",
        f"{row.valid} valid, {row.admins} of them with the scope {ADMIN}",
        f"clm keys create --name N --scopes {ADMIN}",
        warn=not row.admins,
    )
    if row.ending:
        told = f"within {_SOON.days} days: {', '.join(row.ending[:10])}"
        yield Finding("keys that expire", "warn", told, "give their users new ones in time")


async def work(connection: AsyncConnection, settings: Settings) -> AsyncIterator[Finding]:
    """Whether a worker is at work, and what has failed."""
    row = await _row(
        connection,
        "SELECT now() AS now, (SELECT max(published_at) FROM runs) AS run,"
        " (SELECT count(*) FROM operation_parts WHERE state = 'running'"
        "  AND lease_until < now() - CAST(:late AS interval)) AS dead,"
        " (SELECT min(created_at) FROM operations WHERE state IN ('pending', 'running')) AS oldest,"
        " (SELECT string_agg(DISTINCT concat(kind, ' (', error ->> 'code', ')'), ', ')"
        "  FROM operations WHERE state = 'failed' AND finished_at > now() - interval '1 day')"
        "  AS failed,"
        " (SELECT m.fitted_at FROM models m JOIN settings s ON s.key = 'active_model_id'"
        "  AND s.value #>> '{}' = m.model_id) AS model,"
        " (SELECT CAST(value #>> '{}' AS timestamptz) FROM settings WHERE key = :swept) AS swept,"
        " (SELECT CAST(value #>> '{}' AS timestamptz) FROM settings WHERE key = :saved) AS saved,"
        " (SELECT value #>> '{}' FROM settings WHERE key = 'derivation_version') AS derived",
        late=_LATE,
        swept=LAST_HOUSEKEEPING,
        saved=LAST_BACKUP,
    )
    for finding in (
        _judged(
            "worker",
            f"last at work {_ago(row.swept, row.now)}",
            "start `clm worker`, and see its log",
            fail=row.oldest is not None and _is_older(row.swept, row.now, _LATE),
            warn=_is_older(row.swept, row.now, _LATE),
        ),
        _judged(
            "parts",
            f"{row.dead} abandoned; oldest open operation: {_ago(row.oldest, row.now, 'none')}",
            "start `clm worker`: another one takes them over",
            fail=row.dead > 0,
        ),
        _judged(
            "operations",
            f"failed within a day: {row.failed or 'none'}",
            "see GET /v1/operations and the log of the worker",
            warn=row.failed is not None,
        ),
        _scoring(row, settings),
        _judged(
            "model",
            f"fitted {_ago(row.model, row.now)}",
            "POST /v1/models, then activate what it finds",
            warn=row.model is not None and _is_older(row.model, row.now, _MODEL_OLD),
        ),
        _judged(
            "derivation",
            f"stored by version {row.derived} of the rules",
            "let the rebuild end that a worker has started",
            warn=row.derived != str(DERIVATION_VERSION),
        ),
        _judged(
            "backup",
            f"last made {_ago(row.saved, row.now)}",
            "run `clm backup FILE` each day, unless your PostgreSQL is backed up otherwise",
            warn=_is_older(row.saved, row.now, _BACKUP_EVERY),
        ),
    ):
        yield finding


def _scoring(row: Any, settings: Settings) -> Finding:
    every = settings.scoring_every
    late = every is not None and _is_older(row.run, row.now, 2 * every)
    return _judged(
        "scoring run",
        f"last published {_ago(row.run, row.now)}",
        "see GET /v1/operations, or POST /v1/scoring-runs",
        warn=late,
    )


def _is_older(then: datetime | None, now: datetime, most: timedelta) -> bool:
    return then is None or now - then > most


def _ago(then: datetime | None, now: datetime, unknown: str = "never") -> str:
    if then is None:
        return unknown
    seconds = max(0, int((now - then).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


OF_SERVER: tuple[Check, ...] = (server, connections, revision)
OF_SERVICE: tuple[Check, ...] = (rights, transactions, keys, work)
"""What can be asked of a database that has the schema."""
