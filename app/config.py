"""The settings: one frozen object, read from `CLM_…` environment variables."""

import logging
import os
import re
from datetime import timedelta
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

VERSION = version("clm-service")
PREFIX = "CLM_"
DEFAULT_HORIZON_DAYS = 90
"""Days ahead that matter to a business that names no others."""
_LINK = re.compile(r"(?:tcp|udp|sctp)://\S+")
_OF_KUBERNETES = re.compile(
    r"CLM_(?:\w+_)?(?:SERVICE_HOST=[0-9A-Fa-f.:]+|SERVICE_PORT(?:_\w+)?=\d+"
    r"|PORT(?:_\d+_(?:TCP|UDP|SCTP))?=(?:tcp|udp|sctp)://\S+"
    r"|PORT_\d+_(?:TCP|UDP|SCTP)_(?:ADDR=[0-9A-Fa-f.:]+|PORT=\d+|PROTO=\w+))"
)
"""What Kubernetes tells each container of a service named `clm`, or `clm-` and something."""
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


logger = logging.getLogger("clm.config")


def _parse_period(value: object) -> object:
    """Read `off`, or a number with a unit: `90s`, `15m`, `24h`, `7d`."""
    if value is None or isinstance(value, timedelta):
        return value
    text = str(value).strip().lower()
    if text == "off":
        return None
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None or match[1].strip("0") == "":
        raise ValueError("write a period such as 90s, 15m, 24h or 7d, or off")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _parse_none(value: object) -> object:
    """Read `off` as none."""
    return None if str(value).strip().lower() == "off" else value


def _parse_list(value: object) -> object:
    """Read a list with commas."""
    if not isinstance(value, str):
        return value
    return tuple(each.strip() for each in value.split(",") if each.strip())


class Settings(BaseSettings):
    """What a process needs to know from outside; facts depend on the zone and the currency."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

    database_url: str | None = Field(
        None, description="PostgreSQL to use; without it the embedded one is run"
    )
    application_role: str | None = Field(
        None,
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="the role of API and workers, to which `clm migrate` grants what they need;"
        " without it they are the owner of the tables",
    )
    embedded: bool = Field(True, description="whether the embedded database may be used")
    data_dir: Path = Field(Path(".data"), description="folder of the embedded database")
    time_zone: str = Field("UTC", description="the business zone that decides what a day is")
    currency: str = Field("EUR", pattern=r"^[A-Z]{3}$", description="the currency of all sums")
    country: Annotated[str | None, BeforeValidator(_parse_none)] = Field(
        None,
        pattern=r"^[A-Z]{2}$",
        description="of phone numbers without one, where that of the customer is not known, or off",
    )
    scoring_every: Annotated[timedelta | None, BeforeValidator(_parse_period)] = Field(
        timedelta(hours=24), description="how often a worker starts a scoring run, or off"
    )
    horizon_days: int = Field(
        DEFAULT_HORIZON_DAYS,
        ge=1,
        le=3650,
        description="days ahead that churn risk is learnt for, and told of",
    )
    refit_share: float = Field(
        0.2, gt=0, le=10, description="new facts, as a share of those seen, that call for a fit"
    )
    voided_kept: Annotated[timedelta | None, BeforeValidator(_parse_period)] = Field(
        None,
        description="how long transitions are kept that later facts disproved, such as 400d, or off"
        " for ever",
    )
    audit_kept: Annotated[timedelta | None, BeforeValidator(_parse_period)] = Field(
        timedelta(days=400), description="how long it is kept who did what, or off for ever"
    )
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    admin_port: int | None = Field(
        None, ge=1, le=65535, description="where metrics and documentation are, instead of `port`"
    )
    metrics: bool = Field(True, description="whether /metrics is served")
    docs: bool = Field(True, description="whether /docs and /openapi.json are served")
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parse_list)] = Field(
        (), description="sites whose pages may call the API, such as https://crm.example,…"
    )
    processes: int = Field(1, ge=1, le=64, description="processes of the API on the one port")
    siblings: int = Field(
        1, ge=1, le=64, description="processes, of all hosts, that share the rates of keys"
    )
    pool_size: int = Field(12, ge=3, le=200, description="database connections of one process")
    admission_limit: int = Field(
        100,
        ge=1,
        le=100_000,
        description="requests that run or wait to run before a process answers 503",
    )
    wait_seconds: float = Field(
        0.25, ge=0, le=60, description="time a request waits to run before it is answered 503"
    )
    connections: int = Field(
        4_000,
        ge=10,
        le=100_000,
        description="open connections of one process; above it idle and slow ones are closed, "
        "then new ones answered 503",
    )
    head_seconds: float = Field(
        10.0, gt=0, le=600, description="time in which the head of a request must arrive"
    )
    keep_alive_seconds: float = Field(
        75.0, gt=0, le=3600, description="time a connection is kept open between two requests"
    )
    exports: int = Field(
        2, ge=1, le=100, description="exports at once; one connection is left for all else"
    )
    imports: int = Field(2, ge=1, le=100, description="files that a process takes in at once")
    import_limit: int = Field(
        20_000_000_000, ge=1_000, description="bytes of a file that is imported, unpacked"
    )
    import_kept: Annotated[timedelta | None, BeforeValidator(_parse_period)] = Field(
        timedelta(days=1), description="how long a file is kept after its import has ended"
    )
    write_seconds: float = Field(
        30.0, gt=0, le=3600, description="time in which a caller must take 4 kB of its answer"
    )
    body_limit: int = Field(2_000_000, ge=1_000, description="bytes of a request body")
    body_seconds: float = Field(20.0, gt=0, description="time in which a body must arrive")
    drain_seconds: float = Field(0.0, ge=0, description="time between not ready and closing")
    url: str | None = Field(
        None, description="address of a running service, for clm import and clm export"
    )
    key: str | None = Field(None, description="the key that these show it")
    worker_metrics_port: int | None = Field(
        None, ge=1, le=65535, description="where a worker serves /metrics, /livez and /readyz"
    )
    log_level: str = Field("INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not a time zone of the IANA database")
        return value

    @field_validator("port", "admin_port", mode="before")
    @classmethod
    def _no_link(cls, value: object, info: ValidationInfo) -> object:
        """Pass over the address that Kubernetes gives a service under this name."""
        if not (isinstance(value, str) and _LINK.fullmatch(value)):
            return value
        name = str(info.field_name)
        usual: Any = cls.model_fields[name].default
        logger.warning(
            "%s%s=%s is what Kubernetes says of a service, and is not heeded: it counts as %s",
            PREFIX, name.upper(), value, usual,
        )  # fmt: skip
        return usual

    @field_validator("cors_origins")
    @classmethod
    def _exact_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not _ORIGIN.fullmatch(each):
                raise ValueError(
                    f"{each!r} is not an origin: write each as browsers do, such as"
                    " https://crm.example or http://localhost:3000"
                )
        return value

    @field_validator("database_url")
    @classmethod
    def _asyncpg_url(cls, value: str | None) -> str | None:
        """Accept the usual spellings of a PostgreSQL URL; the driver is always asyncpg."""
        if value is None:
            return None
        scheme, separator, rest = value.partition("://")
        if not separator or scheme.split("+")[0] not in ("postgres", "postgresql"):
            raise ValueError("must be a postgresql:// URL")
        return f"postgresql+asyncpg://{rest}"

    @property
    def export_slots(self) -> int:
        """Exports at once: of the connections, health keeps one and all else another at least."""
        return min(self.exports, self.pool_size - 2)

    @property
    def zone(self) -> ZoneInfo:
        """The business zone."""
        return ZoneInfo(self.time_zone)


def load_settings() -> Settings:
    """Read the settings; an unknown `CLM_…` variable is an error, not a silent default."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(
        name
        for name, value in os.environ.items()
        if name.startswith(PREFIX)
        and name not in known
        and not _OF_KUBERNETES.fullmatch(f"{name}={value}")
    )
    if unknown:
        raise ValueError(f"unknown settings: {', '.join(_hinted(name, known) for name in unknown)}")
    return Settings()


def _hinted(name: str, known: set[str]) -> str:
    near = get_close_matches(name, sorted(known), n=1, cutoff=0.75)
    return f"{name} (did you mean {near[0]}?)" if near else name
