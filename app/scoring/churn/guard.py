"""What serves in place of a churn risk that the past has proved wrong.

A candidate that lost over the windows of the past (`app.scoring.churn.verdicts`) is not published,
however it was fitted. In its place serves what foresaw the windows best of the other candidates and
of the processes as they came; where all of those lose to the base rate, everybody is told the base
rate, as the windows have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import numpy as np

from app.scoring.churn import verdicts
from app.scoring.churn.candidates import Candidate, Judged
from app.scoring.churn.rules import BASE_RATE
from app.scoring.evaluation.one_standard_error import plain_values
from app.scoring.numerics.array_types import FloatArray

RECALIBRATED: Final = "recalibrated"
RAW: Final = "raw"


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What serves, in place of what, and the figures that decided.

    Attributes
    ----------
    serves : str
        ``recalibrated``, ``raw`` (a process by itself) or ``base_rate``.
    kind : str
        Of the risk that serves.
    instead_of : str or None
        The kind that would serve without a guard, where it is not what serves.
    reason : str
        Of ``instead_of``, or of a kind that was asked for: ``not_worse``; ``loses_to_raw``, its
        process as it came; ``loses_to_raw_when_late``, the same of those who are late alone;
        ``few_windows``, too few to say that it is better than its process; ``loses_to_base_rate``;
        ``loses_to_another``, it might serve, but what serves is preferred to it; ``not_judged``,
        there are no windows to judge it on.
    windows, customers : int
        Windows of the past it was judged on, and customers in all of them together.
    log_loss, log_loss_raw, log_loss_base_rate : float
        Over those, of what would serve without a guard, of its process by itself, and of the
        base rate; NaN without any.
    log_loss_served : float
        Of what serves.
    """

    serves: str
    kind: str
    instead_of: str | None = None
    reason: str = verdicts.NOT_JUDGED
    windows: int = 0
    customers: int = 0
    log_loss: float = np.nan
    log_loss_raw: float = np.nan
    log_loss_base_rate: float = np.nan
    log_loss_served: float = np.nan

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        plain: dict[str, Any] = plain_values(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Guard:
        """Return the guard that `as_dict` described."""
        return cls(**{field.name: stored[field.name] for field in fields(cls)})


def decide(wanted: Candidate, served: Candidate | None, base: FloatArray, on: Judged) -> Guard:
    """Return what serves, and why it is not what was wanted: a candidate, or the base rate."""
    reason = verdicts.NOT_WORSE
    if served is not wanted:
        reason = verdicts.verdict(wanted, base, on)
        reason = verdicts.LOSES_TO_ANOTHER if reason == verdicts.NOT_WORSE else reason
    serves = BASE_RATE
    if served is not None:
        serves = RAW if served.raw else RECALIBRATED
    return Guard(
        serves=serves,
        kind=BASE_RATE if served is None else served.kind,
        instead_of=None if served is wanted else wanted.kind,
        reason=reason,
        log_loss_served=float((base if served is None else served.loss).mean()),
        **_figures(wanted, base, on),
    )


def asked_for(candidate: Candidate, base: FloatArray, on: Judged) -> Guard:
    """Return the guard of a kind that was asked for: it serves as it is, and this says how well."""
    figures = _figures(candidate, base, on)
    worse = verdicts.clear(candidate.raw_loss, base, on.window)
    return Guard(
        serves=RAW,
        kind=candidate.kind,
        reason=verdicts.LOSES_TO_BASE_RATE if worse else verdicts.NOT_WORSE,
        log_loss_served=figures["log_loss_raw"],
        **(figures | {"log_loss": figures["log_loss_raw"]}),
    )


def _figures(candidate: Candidate, base: FloatArray, on: Judged) -> dict[str, Any]:
    return {
        "windows": len(on.at),
        "customers": on.churned.size,
        "log_loss": float(candidate.loss.mean()),
        "log_loss_raw": float(candidate.raw_loss.mean()),
        "log_loss_base_rate": float(base.mean()),
    }
