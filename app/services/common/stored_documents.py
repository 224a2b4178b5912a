"""JSON in columns as typed documents, each with the version of its shape.

What another release wrote in another shape is not guessed at: reading it fails and says so. While
two releases run, one may meet what the newer one wrote: a caller is told to ask again, as another
process may read it, and a worker leaves it to the others.
"""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

VERSION = "schema_version"


class UnknownVersion(RuntimeError):
    """A document was stored in a shape that this release does not read."""

    def __init__(self, what: str, found: object, known: int) -> None:
        super().__init__(f"{what} of version {found!r} is stored; version {known} can be read")


class NewerVersion(UnknownVersion):
    """A document was stored by a newer release than this one, whose processes will read it."""


def stamped(content: Mapping[str, Any], version: int = 1) -> dict[str, Any]:
    """Return a document as it is stored."""
    return {VERSION: version, **content}


def opened(
    stored: Mapping[str, Any], what: str, version: int = 1, *, older: Collection[int] = ()
) -> dict[str, Any]:
    """Return what is in a stored document, if it is of a version that can be read."""
    content = dict(stored)
    found = content.pop(VERSION, None)
    if found != version and found not in older:
        newer = isinstance(found, int) and found > version
        raise (NewerVersion if newer else UnknownVersion)(what, found, version)
    return content


class Section(BaseModel):
    """A piece of a document; numbers that are not finite have no JSON and are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StoredDocument(Section):
    """A document of one shape; whoever changes the shape counts its version up."""

    version: ClassVar[int] = 1
    reads: ClassVar[tuple[int, ...]] = ()
    """Older versions that it reads, too: what they lack has a value where nothing is said."""

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Self:
        """Read a document from its column."""
        return cls.model_validate(opened(stored, cls.__name__, cls.version, older=cls.reads))

    def dump(self) -> dict[str, Any]:
        """Return the document as its column holds it."""
        return stamped(self.content(), self.version)

    def content(self) -> dict[str, Any]:
        """Return what is in it, as JSON has it."""
        return self.model_dump(mode="json")
