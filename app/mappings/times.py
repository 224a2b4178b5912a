"""Texts as instants and days. Instants are datetimes of UTC without a zone; they are many."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from app.mappings.bad import Bad
from app.mappings.document import Times

Instant = datetime
EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - of UTC, as all here
_FIRST_YEAR: Final = 1901
_LAST_YEAR: Final = 2199
_MONTHS: Final = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
_DIRECTIVES: Final = {
    "%Y": r"(?P<Y>\d{4})",
    "%y": r"(?P<y>\d{2})",
    "%m": r"(?P<m>\d{1,2})",
    "%d": r"(?P<d>\d{1,2})",
    "%H": r"(?P<H>\d{1,2})",
    "%I": r"(?P<I>\d{1,2})",
    "%M": r"(?P<M>\d{1,2})",
    "%S": r"(?P<S>\d{1,2})",
    "%f": r"(?P<f>\d{1,9})",
    "%p": r"(?P<p>[AaPp]\.?[Mm]\.?)",
    "%b": r"(?P<b>[A-Za-z]{3,9})\.?",
    "%B": r"(?P<b>[A-Za-z]{3,9})\.?",
    "%z": r"(?P<z>Z|[+-]\d{2}:?\d{2})",
    "%%": "%",
}
_DAY_ZERO: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - on local clocks
_DAYS_AND_PART: Final = re.compile(r"\d{3,6}([.,]\d{1,20})?", re.ASCII)
_ONCE: Final = timedelta(0)
_KEPT_DAYS: Final = 100_000


def compiled(pattern: str) -> re.Pattern[str] | None:
    """Return what a form of times matches; None if it is none."""
    found, at = "", 0
    for directive in re.finditer(r"%.?", pattern):
        if directive.group() not in _DIRECTIVES:
            return None
        found += _literal(pattern[at : directive.start()]) + _DIRECTIVES[directive.group()]
        at = directive.end()
    try:
        whole = re.compile(found + _literal(pattern[at:]), re.ASCII)
    except re.error:
        return None
    named = set(whole.groupindex)
    year = {"Y", "y"} & named
    return whole if year and "d" in named and {"m", "b"} & named else None


def _literal(text: str) -> str:
    return re.sub(r"(\\ |\\\s|\s)+", r"\\s+", re.escape(text))


class LocalTimes:
    """Reads times on the clocks of a zone, by stated rules."""

    def __init__(self, times: Times) -> None:
        self._zone = None if times.zone is None else ZoneInfo(times.zone)
        self._times = times
        self._hour = 12 if times.days == "noon" else 0
        self._shifts: dict[date, timedelta | None] = {}

    def reader(self, patterns: Sequence[str] | None) -> Callable[[str], Instant]:
        """Return what reads texts of these forms, or of ISO 8601."""
        forms = [found for each in patterns or () if (found := compiled(each)) is not None]
        return self.iso if not forms else lambda text: self._formed(forms, text)

    def iso(self, text: str) -> Instant:
        """Read a time or a day of ISO 8601; a blank may stand before its offset."""
        if len(text) > 20 and text[-6] == " ":
            text = text[:-6] + text[-5:]
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise _no_time() from None
        return self._instant(at, is_day=len(text) <= 10)

    def day_of_count(self, text: str) -> date:
        """Return the day of a count of days."""
        return _checked(_counted_days(text)[0]).date()

    def day(self, text: str, forms: Sequence[re.Pattern[str]] = ()) -> date:
        """Read a day; of a time that has an offset it is the day in the zone."""
        try:
            at = _parts(forms, text)[0] if forms else datetime.fromisoformat(text)
        except ValueError:
            raise _no_time() from None
        return _checked(at if at.tzinfo is None else self.local(_to_utc(at))).date()

    def spreadsheet_days(self, text: str) -> Instant:
        """Read a count of days since the end of 1899, to the second."""
        at, is_day = _counted_days(text)
        return self._instant(at, is_day=is_day)

    def local(self, at: Instant) -> datetime:
        """Return what clocks of the zone show."""
        if self._zone is None:
            return at
        return at.replace(tzinfo=UTC).astimezone(self._zone).replace(tzinfo=None)

    def _formed(self, forms: Sequence[re.Pattern[str]], text: str) -> Instant:
        at, is_day = _parts(forms, text)
        return self._instant(at, is_day=is_day)

    def _instant(self, at: datetime, *, is_day: bool) -> Instant:
        if at.tzinfo is not None:
            return _checked(_to_utc(at))
        if self._zone is None:
            raise Bad("not_a_time", "it has no offset, and the mapping names no zone")
        if is_day:
            at = at.replace(hour=self._hour)
        day = at.date()
        try:
            shift = self._shifts[day]
        except KeyError:
            shift = self._keep(day)
        return _checked(at - (shift if shift is not None else self._shift(at, is_day=is_day)))

    def _keep(self, day: date) -> timedelta | None:
        """Return by what clocks are ahead all of a day; None if they change on or next to it."""
        if len(self._shifts) > _KEPT_DAYS:
            self._shifts.clear()
        if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
            raise Bad("out_of_range", "it lies before 1901 or after 2199")
        start = datetime(day.year, day.month, day.day, tzinfo=self._zone)
        several = {
            (start + timedelta(hours=hours)).replace(fold=fold).utcoffset()
            for hours in (-6, 0, 6, 12, 18, 24, 30)
            for fold in (0, 1)
        }
        only = several.pop()
        self._shifts[day] = shift = None if several else only
        return shift

    def _shift(self, at: datetime, *, is_day: bool) -> timedelta:
        """Return by what clocks are ahead at a local time of a day on which they change."""
        earlier = at.replace(tzinfo=self._zone, fold=0).utcoffset() or _ONCE
        later = at.replace(tzinfo=self._zone, fold=1).utcoffset() or _ONCE
        if earlier == later or is_day:
            return earlier
        if earlier > later:
            if self._times.ambiguous == "reject":
                raise Bad("ambiguous_time", "clocks of the zone showed this local time twice")
            return earlier if self._times.ambiguous == "earlier" else later
        if self._times.skipped == "reject":
            raise Bad("skipped_time", "clocks of the zone never showed this local time")
        return earlier


def since_epoch(text: str, per_second: int) -> Instant:
    """Read a count of seconds or milliseconds since 1970."""
    number = text[1:] if text[:1] == "-" else text
    if not number.isdecimal() or not number.isascii() or len(number) > 16:
        raise Bad("not_a_time", "it is no whole number of seconds or milliseconds since 1970")
    micros = int(text) * (1_000_000 // per_second)
    try:
        return _checked(EPOCH + timedelta(microseconds=micros))
    except OverflowError:
        raise Bad("out_of_range", "it lies before 1901 or after 2199") from None


def _counted_days(text: str) -> tuple[datetime, bool]:
    """Return the local time that spreadsheets mean by a number, and whether it is a day alone."""
    if not _DAYS_AND_PART.fullmatch(text):
        raise Bad("not_a_time", "it is no count of days since the end of 1899")
    days, _, part = text.replace(",", ".").partition(".")
    seconds = round(float(f"0.{part or 0}") * 86_400)
    return _DAY_ZERO + timedelta(days=int(days), seconds=seconds), seconds == 0


def written(at: Instant) -> str:
    """Return an instant as RFC 3339 has it."""
    return at.isoformat() + "Z"


def seconds_of(at: Instant) -> int:
    """Return the whole seconds since 1970."""
    return (at - EPOCH) // timedelta(seconds=1)


def _to_utc(at: datetime) -> Instant:
    try:
        return at.replace(tzinfo=None) - (at.utcoffset() or _ONCE)
    except OverflowError:
        raise _no_time() from None


def _checked(at: datetime) -> datetime:
    if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise Bad("out_of_range", "it lies before 1901 or after 2199")
    return at


def _no_time() -> Bad:
    return Bad("not_a_time", "it is no time of the declared form, or a day that does not exist")


def _parts(forms: Sequence[re.Pattern[str]], text: str) -> tuple[datetime, bool]:
    """Return a time of the first form that fits, and whether it is a day alone."""
    for form in forms:
        found = form.fullmatch(text)
        if found is not None:
            try:
                return _from(found.groupdict())
            except ValueError:
                break
    raise _no_time()


def _from(said: dict[str, str | None]) -> tuple[datetime, bool]:
    year = int(said.get("Y") or 0) or _century(int(said.get("y") or 0))
    name = said.get("b")
    month = int(said.get("m") or 0) if name is None else _MONTHS.index(name[:3].lower()) + 1
    hour = int(said.get("H") or said.get("I") or 0)
    half = said.get("p")
    if half is not None:
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    micros = int((said.get("f") or "0").ljust(6, "0")[:6])
    minute, second = int(said.get("M") or 0), int(said.get("S") or 0)
    offset = said.get("z")
    at = datetime(year, month, int(said["d"] or 0), hour, minute, second, micros)  # noqa: DTZ001
    if offset is not None:
        at = at.replace(tzinfo=datetime.strptime(offset, "%z").tzinfo)
    return at, "H" not in said and "I" not in said


def _century(year: int) -> int:
    """Return a year of two digits as strptime has it: 69 to 99 are of the last century."""
    return year + (1900 if year >= 69 else 2000)
