"""API keys over HTTP."""

from typing import Annotated, Any, Literal

from fastapi import Path, Response

from app.errors import LastAdminKey, NotFound
from app.http.deps import IdempotencyKey, PageInOrder, Principal, Read, Write
from app.http.repeats import SHOWN_ONCE
from app.routers.api import router, scope
from app.schemas.common.types import Text
from app.schemas.keys import ADMIN, Key, KeyPage, KeyPatch, KeyRequest, KeyRotation, KeyShown
from app.schemas.responses import headers, problems
from app.services.access import key_changes, keys

routes = router("keys")
KeyId = Annotated[Text, Path(description="id of the key", examples=["Xf3kP9aQ"])]
Secret = Annotated[
    Literal["previous", "current"],
    Path(description="`previous`: that of before the rotation; `current`: the new one"),
]
_ONCE: dict[str, Any] = {
    **scope(ADMIN),
    "openapi_extra": {**scope(ADMIN)["openapi_extra"], SHOWN_ONCE: "key"},
}


@routes.post(
    "/keys",
    status_code=201,
    response_model=KeyShown,
    responses={201: {"description": "Made", **headers("Location")}},
    **_ONCE,
)
async def create_key(
    request: KeyRequest,
    session: Write,
    principal: Principal,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Make a key, and show it this once.

    It is made of `clm_`, an id of 8 characters, `_`, a secret of 32, `_`, and a checksum of 6: the
    CRC-32 of all before it, in base 62 (0-9, A-Z, a-z). Give it to scanners of secrets as
    `clm_[A-Za-z0-9]{8}_[A-Za-z0-9]{32}_[A-Za-z0-9]{6}`. A key gives no scope that it lacks itself.
    """
    del idempotency_key
    made = await key_changes.create(session, request, principal)
    response.headers["Location"] = f"/v1/keys/{made['key_id']}"
    return made


@routes.get("/keys", response_model=KeyPage, **scope(ADMIN))
async def list_keys(session: Read, page: PageInOrder) -> Any:
    """List the keys, also those that have ended, newest first."""
    return await keys.search(session, page)


@routes.get("/keys/{key_id}", response_model=Key, responses=problems(NotFound), **scope(ADMIN))
async def get_key(key_id: KeyId, session: Read) -> Any:
    """Return a key: what it may do, until when, and when it was used last."""
    return await keys.get(session, key_id)


@routes.patch(
    "/keys/{key_id}",
    response_model=Key,
    responses=problems(NotFound, LastAdminKey),
    **scope(ADMIN),
)
async def patch_key(key_id: KeyId, change: KeyPatch, session: Write, principal: Principal) -> Any:
    """Change the name, the scopes, the end or the limits of a key: absent fields stay.

    Processes that saw the key lately go by what it was for at most ten seconds more.
    """
    return await key_changes.change(session, key_id, change, principal)


@routes.delete(
    "/keys/{key_id}",
    response_model=Key,
    responses=problems(NotFound, LastAdminKey),
    **scope(ADMIN),
)
async def revoke_key(key_id: KeyId, session: Write) -> Any:
    """Revoke a key for good; it stops working within ten seconds.

    The last key with the scope `admin` cannot be revoked, nor one that is valid longer than all
    others: make another one first.
    """
    return await key_changes.revoke(session, key_id)


@routes.post(
    "/keys/{key_id}/rotate",
    response_model=KeyShown,
    responses=problems(NotFound),
    **_ONCE,
)
async def rotate_key(
    key_id: KeyId,
    request: KeyRotation,
    session: Write,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Give a key a new secret, and show it this once; the one of before stays valid for a while.

    Until a time that may be given, or until `DELETE /v1/keys/{key_id}/secrets/previous`.
    """
    del idempotency_key
    return await key_changes.rotate(session, key_id, request)


@routes.delete(
    "/keys/{key_id}/secrets/{secret}",
    response_model=Key,
    responses=problems(NotFound),
    **scope(ADMIN),
)
async def remove_key_secret(key_id: KeyId, secret: Secret, session: Write) -> Any:
    """End one of the two secrets of a key that was rotated; the other one stays.

    The `previous` one once all callers have gone over, or the `current` one if it was lost.
    """
    return await key_changes.remove_secret(session, key_id, secret)
