"""`clm export`: everything of a kind, as lines."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from app.demo.client import Client
from app.demo.errors import DemoError
from app.mappings.upserts import zoho_upserts

What = Literal[
    "scores", "customers", "transactions", "interactions", "segments", "rejected", "zoho"
]
Form = Literal["csv", "ndjson"]
_FORMS: Mapping[Form, str] = {"csv": "text/csv", "ndjson": "application/x-ndjson"}


def run(
    client: Client,
    what: What,
    form: Form,
    out: Path | None,
    import_id: str | None,
    fields: Mapping[str, str],
) -> None:
    """Write all lines to a file, or to the screen."""
    if what == "zoho":
        _write(_upserts(client, fields), out)
        return
    if what == "rejected" and import_id is None:
        raise DemoError("name the import with --import")
    paths = {"rejected": f"/imports/{import_id}/rejected", "scores": "/scores"}
    with client.lines(paths.get(what, f"/exports/{what}"), _FORMS[form]) as answer:
        _write(answer.iter_bytes(), out)
    left_out = int(answer.headers.get("CLM-Segments-Left-Out", 0))
    if left_out:
        needs = "customers:read_pii, scores:read or a model"
        sys.stderr.write(f"clm: {left_out} segments are left out, whose rules need {needs}\n")


def _write(pieces: Iterable[bytes], out: Path | None) -> None:
    if out is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    part = out.with_name(f"{out.name}.part")
    with part.open("wb") as opened:
        for piece in pieces:
            opened.write(piece)
    part.replace(out)  # half of it must not look whole


def _upserts(client: Client, fields: Mapping[str, str]) -> Iterator[bytes]:
    """Yield bodies of the upsert of Zoho CRM, with what scores say of each customer."""
    named = {"CLM_Customer_Id": "customer_id", **fields}
    wanted = set(named.values())
    scores = {
        row["customer_id"]: {name: value for name, value in row.items() if name in wanted}
        for row in _objects(client, "/scores")
    }
    customers = (
        {**scores.get(row["customer_id"], {}), **row}
        for row in _objects(client, "/exports/customers")
    )
    for body in zoho_upserts(customers, named):
        yield f"{json.dumps(body, ensure_ascii=False)}\n".encode()


def _objects(client: Client, path: str) -> Iterator[dict[str, Any]]:
    """Yield an answer of lines object by object."""
    rest = b""
    with client.lines(path, _FORMS["ndjson"]) as answer:
        for piece in answer.iter_bytes():
            *whole, rest = (rest + piece).split(b"\n")
            yield from map(json.loads, whole)
    if rest.strip():
        raise DemoError(f"GET {path} broke off")
