"""The settings: one frozen object, read from `CLM_…` environment variables."""

import os
import re
from datetime import timedelta
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

VERSION = version("clm-service")
PREFIX = "CLM_"
DEFAULT_HORIZON_DAYS = 90
"""Days ahead that matter to a business that names no others."""
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


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


class Settings(BaseSettings):
    """What a process needs to know from outside; facts depend on the zone and the currency."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

    database_url: str | None = Field(
        None, description="PostgreSQL to use; without it the embedded one is run"
    )
    embedded: bool = Field(True, description="whether the embedded database may be used")
    data_dir: Path = Field(Path(".data"), description="folder of the embedded database")
    time_zone: str = Field("UTC", description="the business zone that decides what a day is")
    currency: str = Field("EUR", pattern=r"^[A-Z]{3}$", description="the currency of all sums")
    country: str | None = Field(
        None,
        pattern=r"^[A-Z]{2}$",
        description="of phone numbers without one, where that of the customer is not known",
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
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    processes: int = Field(1, ge=1, le=64, description="processes of the API on the one port")
    pool_size: int = Field(10, ge=3, le=200, description="database connections of one process")
    admission_limit: int = Field(
        1000, ge=1, le=100_000, description="requests in flight before a process answers 503"
    )
    body_limit: int = Field(2_000_000, ge=1_000, description="bytes of a request body")
    body_seconds: float = Field(20.0, gt=0, description="time in which a body must arrive")
    drain_seconds: float = Field(0.0, ge=0, description="time between not ready and closing")
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

    @cached_property
    def zone(self) -> ZoneInfo:
        """The business zone."""
        return ZoneInfo(self.time_zone)


def load_settings() -> Settings:
    """Read the settings; an unknown `CLM_…` variable is an error, not a silent default."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise ValueError(f"unknown settings: {', '.join(unknown)}")
    return Settings()
