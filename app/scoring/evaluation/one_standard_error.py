"""One model out of several: the least loss, and of those that come close to it the least BIC."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from app.scoring.evaluation import metrics
from app.scoring.evaluation.temporal_holdout import Entry, Score
from app.scoring.numerics.array_types import FloatArray

Basis: TypeAlias = Literal["holdout", "bic", "thin_data"]

# A mean loss closer to the least than this share of it is as good, however sure the gap.
NEGLIGIBLE = 1e-3
# The same of one process against another, which differ in more than one hold-out shows.
CLOSE = 1e-2
# Evidence for one model by a difference of its BIC below this is not strong.
STRONG = 6.0


@dataclass(frozen=True)
class Pick:
    """The kind chosen for one output, and why in words."""

    kind: str
    reason: str


@dataclass(frozen=True)
class Selection:
    """What was chosen, on what evidence.

    Attributes
    ----------
    basis : str
        ``holdout``; ``bic``: no hold-out was possible; ``thin_data``: there is too little to
        compare forecasts of, and what there is chose by BIC.
    note : str
        Why the basis is not ``holdout``, or what was done to the hold-out; empty otherwise.
    as_of, horizon : int
        As asked for.
    calibration_end, holdout : int or None
        Last day the models saw, and the days held out after it.
    customers, repeaters : int
        Known at ``calibration_end``, or at ``as_of`` without a hold-out.
    base_rate : float
        Share of them who bought in the hold-out.
    table : tuple of Score
        Candidates, simplest first, then the baselines.
    purchases, churn : Pick
        For expected purchases and lifetime value; for the risk of no purchase.
    hiatus_lead : Difference
        AUC of the hiatus rule minus that of the model chosen for churn.
    second_stage_advised : bool
        Whether that lead exceeds its standard error.
    """

    basis: Basis
    note: str
    as_of: int
    horizon: int
    calibration_end: int | None
    holdout: int | None
    customers: int
    repeaters: int
    base_rate: float
    table: tuple[Score, ...]
    purchases: Pick
    churn: Pick
    hiatus_lead: metrics.Difference
    second_stage_advised: bool

    def as_dict(self) -> dict[str, Any]:
        """Return plain values by name, fit for JSON: what is not a number is None."""
        plain: dict[str, Any] = plain_values(dataclasses.asdict(self))
        return plain


def by_loss(
    entries: Sequence[Entry], loss: Literal["absolute_error", "log_loss"], name: str
) -> Pick:
    """Return the entry with the least BIC of those within one standard error of the least loss.

    Parameters
    ----------
    entries : sequence of Entry
        Candidates, simplest first: the first of equals is taken.
    loss : str
        Which loss of each customer decides.
    name : str
        What to call it.
    """
    scored = [entry for entry in entries if getattr(entry, loss) is not None]
    # A prior in place of a fit stands back wherever anything was fitted.
    field = [entry for entry in scored if entry.score.status != "fallback"] or scored
    if not field:
        return Pick(entries[0].score.kind, "no candidate gave a prediction; this is the simplest")
    means = [float(getattr(entry, loss).mean()) for entry in field]
    best, least = field[means.index(min(means))], min(means)
    tied = [entry for entry in field if _ties(getattr(entry, loss), getattr(best, loss))]
    chosen = tied[least_bic([entry.score.bic for entry in tied])]
    if len(tied) == 1:
        return Pick(
            best.score.kind,
            f"least {name}, {least:.4f}; no other model comes within one standard error",
        )
    mean = float(getattr(chosen, loss).mean())
    return Pick(
        chosen.score.kind,
        f"{name} {mean:.4f}; {len(tied)} models are within one standard error or {CLOSE:.0%} "
        f"of the least ({best.score.kind}, {least:.4f}); of these it has the least BIC, "
        f"{chosen.score.bic:.1f}, or is simpler and within {STRONG:.0f} of it",
    )


def _ties(loss: FloatArray, least: FloatArray) -> bool:
    gap = metrics.difference(loss, least)
    return not gap.value > max(gap.standard_error, CLOSE * float(least.mean()))


def least_bic(values: Sequence[float]) -> int:
    """Return the first whose BIC is within `STRONG` of the least; the first if none is known.

    References
    ----------
    Kass and Raftery (1995), Bayes factors, Journal of the American Statistical Association 90,
    773-795: a difference of more than 6 is strong evidence.
    """
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return 0
    return next(at for at, value in enumerate(values) if value <= min(known) + STRONG)


def by_bic(scores: Sequence[Score]) -> Pick:
    """Return the kind with the least BIC, the first of equals; priors only where all are."""
    known = [score for score in scores if math.isfinite(score.bic)]
    field = [score for score in known if score.status != "fallback"] or known
    if not field:
        return Pick(scores[0].kind, "no candidate could be fitted; this is the simplest")
    if field[0].status == "fallback":
        return Pick(field[0].kind, "nothing could be fitted; this is a prior")
    best = field[least_bic([score.bic for score in field])]
    return Pick(best.kind, f"least BIC, {best.bic:.1f}: no hold-out was possible")


def plain_values(value: Any) -> Any:
    """Return a value with lists for tuples and None for what is not a number."""
    if isinstance(value, dict):
        return {name: plain_values(inner) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return [plain_values(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
