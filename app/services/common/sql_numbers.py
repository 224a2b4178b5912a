"""SQL of days, instants and money as the whole numbers that columns of them hold."""

from app.money import UNITS

_EPOCH = "DATE '1970-01-01'"


def day(on: str) -> str:
    """Return the number of a date, as `app.days.to_day` counts."""
    return f"({on} - {_EPOCH})"


def date_of(day: str) -> str:
    """Return the date of a day's number."""
    return f"({_EPOCH} + CAST({day} AS int))"


def micros(at: str) -> str:
    """Return the microseconds of an instant, as `app.days.to_micros` counts."""
    return f"CAST(extract(epoch FROM {at}) * 1000000 AS int8)"


def instant_of(micros: str) -> str:
    """Return the instant of a count of microseconds, exactly; in UTC each day has 24 hours."""
    return (
        f"(timestamptz 'epoch' + {micros} / 86400000000 * interval '1 day'"
        f" + {micros} % 86400000000 * interval '1 microsecond')"
    )


def units(amount: str) -> str:
    """Return an amount of money as a count of the smallest unit."""
    return f"CAST({amount} * {UNITS} AS int8)"
