"""Versions that callers have seen: `ETag` out, `If-Match` in."""

from app.errors import FieldError, StaleVersion


def etag(version: int) -> str:
    return f'"{version}"'


def check(if_match: str | None, version: int | None, what: str) -> None:
    """Raise StaleVersion unless a version is named, or none is asked for."""
    if if_match is None:
        return
    current = None if version is None else etag(version)
    listed = [tag.strip() for tag in if_match.split(",")]
    if current is None or (listed != ["*"] and current not in listed):
        detail = f"{what} is at {current}" if current else f"{what} is not there"
        raise StaleVersion(
            f"If-Match names another version: {detail}.",
            errors=[FieldError("header:If-Match", "stale_version", detail)],
        )
