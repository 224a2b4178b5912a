"""Sessions that take a connection of the pool when they need one, and when one last answered."""

import math
import time
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession


class LazySession(AsyncSession):
    """A session that is made when it is first used: most reads ask the driver alone."""

    def __init__(self, bind: AsyncEngine, **given: Any) -> None:
        self._engine = bind
        self._given = given

    def __getattr__(self, name: str) -> Any:
        if name not in ("_proxied", "sync_session"):
            raise AttributeError(name)
        super().__init__(self._engine, **self._given)
        return vars(self)[name]

    @property  # type: ignore[misc]  # nobody sets it anew
    def bind(self) -> AsyncEngine:
        return self._engine

    def in_transaction(self) -> bool:
        return "_proxied" in vars(self) and super().in_transaction()

    async def __aexit__(self, *raised: Any) -> None:  # noqa: PYI036  # as the parent has it
        if self.in_transaction():
            await super().__aexit__(*raised)


class LastAnswer:
    """When a connection was last given back as one that had answered."""

    def __init__(self) -> None:
        self._at = -math.inf

    def note(self, connection: object | None, *_: object) -> None:
        if connection is not None:  # as it is of one that was dropped
            self._at = time.monotonic()

    def seconds_ago(self) -> float:
        return time.monotonic() - self._at
