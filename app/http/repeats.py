"""Requests that may be sent again: what they claim, and the answers that are kept and replayed."""

import hashlib
import json

from fastapi import Request, Response

from app.errors import FieldError, ValidationFailed
from app.services.access.idempotency import Claim, Replay

SHOWN_ONCE = "x-shown-once"
"""Names the field of an answer that is kept nowhere, and is null where the answer is replayed."""
_KEPT_HEADERS = ("content-type", "etag", "location", "retry-after")


class Replayed(Exception):  # no error: the way out for a stored answer
    def __init__(self, replay: Replay) -> None:
        super().__init__()
        self.replay = replay


async def claim_of(request: Request, key_id: str) -> Claim | None:
    """Return what a request claims, None if it may not be sent again."""
    key = request.headers.get("idempotency-key")
    if key is None or request.method != "POST":
        return None
    # The draft standard quotes the key, most callers do not: both are the same key.
    key = key.strip().removeprefix('"').removesuffix('"')
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise ValidationFailed(
            errors=[
                FieldError(
                    "header:Idempotency-Key", "idempotency_key", "1 to 255 printable characters"
                )
            ]
        )
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return Claim(key_id, key, hashlib.sha256(asked + await request.body()).digest())


def kept(response: Response, shown_once: str | None) -> Replay:
    """Return what is kept of an answer: all but the field that is shown once."""
    headers = {name: value for name, value in response.headers.items() if name in _KEPT_HEADERS}
    body = bytes(response.body)
    if shown_once is not None:
        body = json.dumps({**json.loads(body), shown_once: None}, ensure_ascii=False).encode()
    return Replay(response.status_code, headers, body)


def replayed(replay: Replay) -> Response:
    """Return the stored answer."""
    headers = {**replay.headers, "Idempotent-Replayed": "true"}
    return Response(replay.body, status_code=replay.status, headers=headers)
