"""Who did what: an entry for each request that wrote, in the transaction of what it wrote.

It tells whom it was about and which fields were given, never their values. What it is made of is
read from the request as it came, so that no service has to think of it.
"""

import getpass
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from app.postgres.db import WriteSession, fetch_rows
from app.schemas.audit import IDS_KEPT
from app.schemas.common.types import is_identifier
from app.services.common import deployment_settings

CLI, WORKER = "cli", "worker"
CUSTOMER = "customer_id"
_MOST_FIELDS = 60
_NAMED = frozenset(
    ("source", "transaction_id", "interaction_id", "churn_record_id", "revision", "model_id")
)
"""What a body or a query tells of what it is about, beside customers."""
_IN_FORCE = {
    deployment_settings.ACTIVE_POLICY: ("put_policy_in_force", "version"),
    deployment_settings.ACTIVE_MODEL: ("put_model_in_force", "model_id"),
}
_INSERT = (
    "INSERT INTO audit_entries (transaction_number, recorded_at, actor, actor_name, operation,"
    " request_id, status, customer_ids, customers, ids, fields) VALUES"
    " (pg_current_xact_id()::text::bigint, now(), $1, $2, $3, $4, $5, $6, $7,"
    " CAST($8::text AS jsonb), $9)"
)


@dataclass(slots=True)
class Entry:
    """What is kept of a write."""

    actor: str
    actor_name: str
    operation: str
    request_id: str | None = None
    status: int | None = None
    customer_ids: Iterable[str] = ()
    customers: int = 0
    ids: Mapping[str, Any] = field(default_factory=dict)
    fields: Iterable[str] = ()


async def record(session: WriteSession, entry: Entry) -> None:
    """Keep an entry, to be committed with what it tells of."""
    await fetch_rows(
        session,
        _INSERT,
        entry.actor,
        entry.actor_name,
        entry.operation,
        entry.request_id,
        entry.status,
        list(entry.customer_ids),
        entry.customers,
        json.dumps(dict(entry.ids)) if entry.ids else "{}",
        list(entry.fields),
    )


async def record_command(
    session: WriteSession, operation: str, ids: Mapping[str, Any] | None = None
) -> None:
    """Keep what somebody did on the command line."""
    await record(session, Entry(CLI, _user(), operation, ids=ids or {}))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        return f"uid {os.getuid()}"


def entry_of(
    path: Mapping[str, Any],
    query: Iterable[tuple[str, str]],
    body: object,
    known: frozenset[str],
    made: str | None,
    **told: Any,
) -> Entry:
    """Return the entry of a request, of which the beginnings of long lists are kept.

    `known` are the names of fields that the operation has: an item that was rejected may hold any.
    `made` is where to find what the request made.
    """
    ids: dict[str, Any] = {} if made is None else {"location": made}
    customers: list[Any] = []
    fields: set[str] = set()
    for name, value in path.items():
        if name == CUSTOMER:
            customers.append(value)
        else:
            ids[name] = value
    given: dict[str, Any] = body if isinstance(body, dict) else {}
    for name, value in (*query, *given.items()):
        if name == CUSTOMER:
            customers.append(value)
        elif name in _NAMED and isinstance(value, (str, int)):
            ids[name] = value
        elif name == "customers" and isinstance(value, list):
            customers += value
        else:
            fields.add(name)
    if "items" in fields and CUSTOMER not in given and isinstance(given["items"], list):
        items = [item for item in given["items"] if isinstance(item, dict)]
        customers += [item.get(CUSTOMER) for item in items]
        fields = fields.union(*items) - {CUSTOMER, "items"}
    named = dict.fromkeys([each for each in customers if isinstance(each, str)])
    return Entry(
        customer_ids=[each for each in islice(named, IDS_KEPT) if is_identifier(each)],
        customers=len(named),
        ids=ids,
        fields=sorted(fields & known)[:_MOST_FIELDS],
        **told,
    )


async def record_work(session: WriteSession, operation_id: str, kind: str) -> None:
    """Keep what long work has put in force in this transaction."""
    for key, value in deployment_settings.written(session).items():
        if key in _IN_FORCE:
            operation, name = _IN_FORCE[key]
            ids = {name: value, "operation_id": operation_id}
            await record(session, Entry(WORKER, kind, operation, ids=ids))
