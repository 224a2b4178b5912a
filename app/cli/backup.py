"""Backing up a database into one file, and restoring it: PostgreSQL's own programs, and checksums.

The file is a ZIP of `database.dump`, as `pg_dump --format=custom` writes it, and `manifest.json`,
which is written last: a file that was cut off is no ZIP. The manifest holds a digest of each table
in the snapshot of the dump, so that a restored database can be told to be the one backed up.
"""

import asyncio
import contextlib
import json
import os
import zipfile
from collections.abc import AsyncIterator, Coroutine
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.engine import make_url

from app.config import VERSION
from app.postgres import pg_programs, roles, schema
from app.postgres.pg_programs import BackupError
from app.services.common.deployment_settings import LAST_BACKUP

FORMAT = 1
DUMP, MANIFEST = "database.dump", "manifest.json"
_LOCK_WAIT = "30s"
_FACTS = ("customers", "transactions", "interactions", "churn_records", "stage_transitions")
_PLAIN = {  # so that a row as text is the same everywhere
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "statement_timeout": "0",
    "lock_timeout": "30000",
}


@dataclass(frozen=True, slots=True)
class Digest:
    """What a table holds: how many rows, and a checksum that no order of them changes."""

    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    format: int
    made_at: str
    version: str
    revision: str
    server_version: str
    tables: dict[str, Digest]

    @classmethod
    def read(cls, archive: zipfile.ZipFile) -> "Manifest":
        """Return the manifest of a backup."""
        document = json.loads(archive.read(MANIFEST))
        if document["format"] != FORMAT:
            raise BackupError(f"the backup is of format {document['format']}, not {FORMAT}")
        tables = {name: Digest(**digest) for name, digest in document.pop("tables").items()}
        return cls(**document, tables=tables)


def require_new(file: Path) -> None:
    """Refuse a file that is there: it may be the only backup that is left."""
    if file.exists():
        raise BackupError(f"{file} is there already: name another file")
    if not file.absolute().parent.is_dir():
        raise BackupError(f"there is no folder {file.absolute().parent}")


async def back_up(url: str, file: Path) -> Manifest:
    """Write a backup of the database as it is at this instant; others may write meanwhile."""
    half = file.with_name(f"{file.name}.partial")
    try:
        with os.fdopen(os.open(half, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as out:
            async with _connected(url, "clm-backup") as connection:
                manifest = await _write(url, connection, out)
            out.flush()
            os.fsync(out.fileno())
        half.rename(file)
    finally:
        half.unlink(missing_ok=True)
    async with _connected(url, "clm-backup") as connection:
        await connection.execute(
            "INSERT INTO settings (key, value) VALUES ($1, to_jsonb(CAST($2 AS text)))"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            LAST_BACKUP,
            manifest.made_at,
        )
    return manifest


async def _write(url: str, connection: Any, out: Any) -> Manifest:
    """Dump and take the digests in one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        revision = await connection.fetchval("SELECT version_num FROM alembic_version")
        words = ("--format=custom", f"--snapshot={snapshot}", f"--lock-wait-timeout={_LOCK_WAIT}")
        command = [pg_programs.find("pg_dump", _major(connection)), *words]
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            with archive.open(DUMP, "w", force_zip64=True) as dump:
                tables, _ = await _both(
                    _digests(connection), pg_programs.run(url, command, into=dump)
                )
            version = connection.get_server_version()
            manifest = Manifest(
                FORMAT, made_at, VERSION, revision, f"{version.major}.{version.minor}", tables
            )
            archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=2))
    return manifest


async def restore(url: str, file: Path) -> Manifest:
    """Make the database the one that was backed up; refuse one that has facts, or is in use."""
    try:
        archive = zipfile.ZipFile(file)
        manifest = Manifest.read(archive)
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise BackupError(f"{file} is no whole backup: {error}") from error
    if manifest.revision not in schema.revisions():
        raise BackupError(
            f"{file} was made by CLM {manifest.version}, whose schema {manifest.revision} this"
            f" version ({VERSION}) does not know: restore it with that version"
        )
    async with _connected(url, "clm-restore") as connection:
        await _require_free(connection)
        await connection.execute(_CLEAR)
        words = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
        command = [pg_programs.find("pg_restore", _major(connection)), *words]
        try:
            with archive, archive.open(DUMP) as dump:
                await pg_programs.run(
                    url, [*command, "--dbname", make_url(url).database or ""], source=dump
                )
            _require_same(manifest.tables, await _digests(connection))
            await connection.execute(roles.CLOSE)
        except BaseException:
            await connection.execute(_CLEAR)  # nobody is to take it for the whole
            raise
    return manifest


def _require_same(wanted: dict[str, Digest], found: dict[str, Digest]) -> None:
    names = sorted(wanted.keys() | found.keys())
    differing = [name for name in names if wanted.get(name) != found.get(name)]
    if differing:
        raise BackupError(f"what was restored is not what was backed up: {', '.join(differing)}")


async def _require_free(connection: Any) -> None:
    """Refuse a database with facts, one of somebody else, and one that is served."""
    tables = set(await _tables(connection))
    for table in _FACTS:
        if table in tables and await connection.fetchval(f"SELECT true FROM {table} LIMIT 1"):  # noqa: S608
            raise BackupError(f"the database has {table} already: restore into an empty one")
    if tables and "alembic_version" not in tables:
        raise BackupError("the database holds tables of something else: restore into an empty one")
    others = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name IN ('clm', 'clm-worker')"
    )
    if others:
        raise BackupError("the database is being served: stop the API and its workers first")


_CLEAR = """
DO $$
DECLARE command text;
BEGIN
  FOR command IN
    SELECT format('DROP TABLE IF EXISTS public.%I CASCADE', relname) FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    UNION ALL
    SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', oid::regprocedure) FROM pg_proc
     WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS
       (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
  LOOP
    EXECUTE command;
  END LOOP;
  DROP SCHEMA IF EXISTS runs CASCADE;
END $$
"""
"""Removes the tables and functions of the service; the schema `public` itself stays."""


async def _tables(connection: Any) -> list[str]:
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind = 'r' ORDER BY relname"
    )
    return [row[0] for row in rows]


_DIGEST = """
SELECT count(*), coalesce(sum(CAST(CAST('x' || left(hash, 16) AS bit(64)) AS bigint)), 0),
 coalesce(sum(CAST(CAST('x' || right(hash, 16) AS bit(64)) AS bigint)), 0)
 FROM (SELECT md5(CAST(t AS text)) AS hash FROM public."{table}" AS t OFFSET 0) AS hashes
"""


async def _digests(connection: Any) -> dict[str, Digest]:
    """Return the digest of each table: the sums of two halves of a hash of each row."""
    found = {}
    for table in await _tables(connection):
        rows, *sums = await connection.fetchrow(_DIGEST.format(table=table))
        found[table] = Digest(rows, "".join(f"{int(each) % 2**64:016x}" for each in sums))
    return found


@contextlib.asynccontextmanager
async def _connected(url: str, name: str) -> AsyncIterator[Any]:
    _, options = dialect().create_connect_args(make_url(url))  # type: ignore[no-untyped-call]
    connection = await asyncpg.connect(
        **{k: v for k, v in options.items() if k != "prepared_statement_cache_size"},
        server_settings={**_PLAIN, "application_name": name},
        timeout=10,
    )
    try:
        yield connection
    finally:
        await connection.close()


def _major(connection: Any) -> int:
    return int(connection.get_server_version().major)


async def _both(
    first: Coroutine[Any, Any, dict[str, Digest]], second: Coroutine[Any, Any, None]
) -> tuple[dict[str, Digest], None]:
    """Wait for both; where one fails, end the other."""
    tasks = asyncio.create_task(first), asyncio.create_task(second)
    try:
        return await asyncio.gather(*tasks)
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
