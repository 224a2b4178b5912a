"""The commands `clm keys …`: what `/v1/keys` does, for whoever may reach the database."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from app.postgres.db import WriteSession
from app.schemas.keys import SCOPES, KeyRotation
from app.services.access import audit, key_changes
from app.services.access import keys as keys_service

app = typer.Typer(no_args_is_help=True, help="API keys: create, list, get, rotate, revoke.")

KeyId = Annotated[str, typer.Argument(help="id of the key")]
Days = Annotated[int | None, typer.Option(min=1, max=3650)]
_TIMES = ("created_at", "expires_at", "revoked_at", "last_used_at")


class Which(StrEnum):
    """One of the two secrets of a key that was rotated."""

    previous = "previous"
    current = "current"


def _run(context: typer.Context, use: Callable[[WriteSession], Awaitable[Any]]) -> Any:
    """Do something in a transaction, by what the command above this one has opened."""
    return context.obj(use)


@app.command(name="create")
def create_key(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="who will use it")],
    scopes: Annotated[str, typer.Option(help=f"comma-separated: {', '.join(SCOPES)}")],
    expires_in_days: Days = None,
    rate_per_second: Annotated[
        float | None, typer.Option(min=0.001, help="requests a second that it may make")
    ] = None,
    burst: Annotated[int | None, typer.Option(min=1, help="requests that it may make at once")] = (
        None
    ),
) -> None:
    """Make a key and print it, this once."""
    if burst is not None and rate_per_second is None:
        raise ValueError("--burst counts for nothing without --rate-per-second")

    async def create(session: WriteSession) -> str:
        now = await key_changes.database_time(session)
        key = await keys_service.create(
            session,
            name,
            [scope.strip() for scope in scopes.split(",")],
            now=now,
            expires_at=None if expires_in_days is None else now + timedelta(days=expires_in_days),
            rate_per_second=rate_per_second,
            burst=burst,
        )
        await _record(session, "create_key", keys_service.id_of(key))
        return key

    typer.echo(_run(context, create))


async def _record(session: WriteSession, operation: str, key_id: str) -> None:
    await audit.record_command(session, operation, {"key_id": key_id})


@app.command(name="list")
def list_keys(context: typer.Context) -> None:
    """List the keys; secrets are not kept and cannot be shown."""
    table = Table("id", "name", "scopes", "created", "expires", "revoked", "last used")
    for row in _run(context, keys_service.listed):
        table.add_row(row.key_id, row.name, ", ".join(row.scopes), *_times(row._asdict()))
    Console().print(table)


def _times(key: dict[str, Any]) -> list[str]:
    return [f"{key[name]:%Y-%m-%d %H:%M}" if key[name] else "" for name in _TIMES]


@app.command(name="get")
def get_key(context: typer.Context, key_id: KeyId) -> None:
    """Show what is kept of a key."""
    for name, value in _run(context, lambda session: keys_service.get(session, key_id)).items():
        shown = ", ".join(value) if isinstance(value, list) else value
        typer.echo(f"{name}: {'' if shown is None else shown}")


@app.command(name="rotate")
def rotate_key(
    context: typer.Context,
    key_id: KeyId,
    previous_ends_in_hours: Annotated[
        int | None, typer.Option(min=1, max=87_600, help="default: when it is removed")
    ] = None,
) -> None:
    """Give a key a new secret and print it, this once; the one of before stays valid for now."""

    async def rotate(session: WriteSession) -> str:
        ends_at = None
        if previous_ends_in_hours is not None:
            now = await key_changes.database_time(session)
            ends_at = now + timedelta(hours=previous_ends_in_hours)
        shown = await key_changes.rotate(session, key_id, KeyRotation(previous_ends_at=ends_at))
        await _record(session, "rotate_key", key_id)
        return str(shown["key"])

    typer.echo(_run(context, rotate))


@app.command(name="remove-secret")
def remove_secret(
    context: typer.Context,
    key_id: KeyId,
    which: Annotated[Which, typer.Argument(help="which of two ends")] = Which.previous,
) -> None:
    """End one of the two secrets of a key that was rotated."""

    async def remove(session: WriteSession) -> None:
        await key_changes.remove_secret(session, key_id, which.value)
        await _record(session, "remove_key_secret", key_id)

    _run(context, remove)
    typer.echo(f"removed the {which.value} secret of {key_id}")


@app.command(name="revoke")
def revoke_key(
    context: typer.Context,
    key_id: KeyId,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="also the last key with the scope admin")
    ] = False,
) -> None:
    """Revoke a key; it stops working within ten seconds."""

    async def revoke(session: WriteSession) -> None:
        shown = await keys_service.get(session, key_id)
        if shown["state"] == "revoked":
            raise ValueError(f"key {key_id!r} was revoked before")
        await key_changes.revoke(session, key_id, even_last_admin=force)
        await _record(session, "revoke_key", key_id)

    _run(context, revoke)
    typer.echo(f"revoked {key_id}")
