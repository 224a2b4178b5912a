"""Keys as texts: `clm_<8 of the id>_<32 of the secret>_<6 of the checksum>`.

By prefix and checksum scanners tell a leaked key from other texts, and what was cut or mistyped is
refused without asking the database. Keys made before there was a checksum go without.
"""

import hashlib
import re
import secrets
import string
import zlib

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FORM = re.compile(r"(clm_([A-Za-z0-9]{8})_([A-Za-z0-9]{32}))(?:_([A-Za-z0-9]{6}))?", re.ASCII)


def random_text(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def checksum(text: str) -> str:
    """Return the CRC-32 of a text in six digits of base 62."""
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return digits


def write(key_id: str, secret: str) -> str:
    """Return the key to be shown."""
    text = f"clm_{key_id}_{secret}"
    return f"{text}_{checksum(text)}"


def read(key: str) -> tuple[str, str] | None:
    """Return id and secret, None for what cannot be a key."""
    found = _FORM.fullmatch(key)
    if found is None or (found[4] is not None and found[4] != checksum(found[1])):
        return None
    return found[2], found[3]


def hashed(secret: str) -> bytes:
    # 190 random bits cannot be guessed, so a slow hash would protect nothing.
    return hashlib.sha256(secret.encode()).digest()
