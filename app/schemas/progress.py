"""How far long work has come."""

from pydantic import Field

from app.schemas.common.types import Answer, Timestamp


class Progress(Answer):
    """How far it has come."""

    done: int = Field(description="parts that are done")
    total: int = Field(description="parts that there are, as far as is known")


class Waiting(Answer):
    """Why long work does not come further, although it has not failed: it is tried again."""

    code: str = Field(
        description="database_unavailable, disk_full, read_only, lock_timeout, statement_timeout, "
        "serialization_failure: what the database could not do; writers: writes of before are "
        "waited for; internal_error: a part has failed, and is tried a few times",
        examples=["database_unavailable"],
    )
    detail: str = Field(
        description="the same in words",
        examples=["The disk of the database is full; it is tried again."],
    )
    since: Timestamp = Field(description="since when nothing of it has been done")
    until: Timestamp = Field(description="when it is tried again at the earliest")
