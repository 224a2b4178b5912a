"""The clock of a process, shifted: what the app calls `datetime` tells another time."""

import sys
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any


class _Like(type):
    """Stands for the class `datetime` in all but its clock."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)

    def __getattr__(cls, name: str) -> Any:
        return getattr(datetime, name)

    def __call__(cls, *given: Any, **named: Any) -> datetime:
        return datetime(*given, **named)  # noqa: DTZ001  # as the caller has it


def shift(ahead: timedelta) -> None:
    """Put the clock of this process forward, or back, for every module of the app."""

    class Shifted(metaclass=_Like):
        @staticmethod
        def now(tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz or UTC) + ahead

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "app" and getattr(module, "datetime", None) is datetime:
            module.datetime = Shifted  # type: ignore[attr-defined]
