"""What callers carry for us between two requests: readable by anybody, made by us alone."""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

_DIGEST = 16


def sign(content: Mapping[str, Any], secret: bytes, *, default: Callable[[Any], str] = str) -> str:
    """Return content as one word with its signature."""
    # ASCII escapes would make the cursor of two long Chinese ids longer than a cursor may be.
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=default)
    payload = text.encode()
    return _armoured(_digest(secret, payload) + payload)


def read(word: str, secret: bytes) -> dict[str, Any] | None:
    """Return the content of a word that `sign` made with the secret, None for any other."""
    try:
        raw = base64.urlsafe_b64decode(word + "=" * (-len(word) % 4))
    except ValueError:
        return None
    signature, payload = raw[:_DIGEST], raw[_DIGEST:]
    # Base64 has many spellings of the same bytes.
    if not hmac.compare_digest(signature, _digest(secret, payload)) or _armoured(raw) != word:
        return None
    content: dict[str, Any] = json.loads(payload)
    return content


def _digest(secret: bytes, payload: bytes) -> bytes:
    return hmac.digest(secret, payload, "sha256")[:_DIGEST]


def _armoured(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
