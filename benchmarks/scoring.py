"""Fits, score cards and summaries of `app.scoring` beside what people use today.

All in one run and on one thread. Seconds are of the processor, so that what else runs on the
machine matters little; memory is the peak above the input. `--full` fits the Pareto/NBD of
lifetimes to a million customers too, which takes several minutes.
"""

import os
import warnings

os.environ.update(
    dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                   "POLARS_MAX_THREADS"), "1")
)  # fmt: skip

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.scoring.histories import purchase_summary
from app.scoring.spend import clv, gamma_gamma
from benchmarks import populations
from benchmarks import scoring_peers as peers
from benchmarks.measured import Contender, Measured, race
from benchmarks.populations import Log, Population

MILLION = 1_000_000
AHEAD, YEAR = 90.0, 360.0  # days; a year is 12 months of 30 days to lifetimes
ANNUAL = (1 + peers.DISCOUNT) ** (clv.DAYS_PER_YEAR / 30) - 1
AIMS = {"BG/NBD": 80, "MBG/NBD": 80, "Pareto/NBD": 400}
MEMORY_AIM = 150
LIKELIHOOD_TOLERANCE, CARD_TOLERANCE, CLV_TOLERANCE = 1e-9, 1e-6, 0.01


@dataclass
class Report:
    """What was found; the ratios are printed last."""

    ratios: list[str] = field(default_factory=list)
    memory: list[str] = field(default_factory=list)

    def add(self, task: str, found: dict[str, Measured], millions: float, aims: dict[str, int]):
        ours, *others = found
        for name, what in found.items():
            likelihood = what.figures.get("log_likelihood")
            more = "" if likelihood is None else f", log-likelihood {likelihood:.6f}"
            print(f"{task}: {name} {what.seconds:.4f} s, {what.megabytes:.0f} MB{more}", flush=True)
        for name in others:
            ratio = found[name].seconds / found[ours].seconds
            aim = f" (aim {aims[name]})" if name in aims else ""
            self.ratios.append(f"{task}: {ratio:.1f} x as fast as {name}{aim}")
        if millions >= 1:
            most = found[ours].megabytes / millions
            each = "rows" if "rows" in task else "customers"
            self.memory.append(f"{task}: {most:.0f} MB a million {each} (aim {MEMORY_AIM})")


def our_fit(kind: str) -> Contender:
    def start(given: Population) -> Callable[[], Any]:
        return lambda: peers.KINDS[kind][2].fit(given.x, given.t_x, given.T)

    return Contender("ours", start, lambda model, _: {"log_likelihood": model.log_likelihood})


def our_spend() -> Contender:
    def start(given: Population) -> Callable[[], Any]:
        x, mean = peers.spenders(given)
        return lambda: gamma_gamma.fit(x, mean)

    return Contender("ours", start, lambda model, _: {"log_likelihood": model.log_likelihood})


def our_card(model: Any, spend: Any) -> Contender:
    def start(given: Population) -> Callable[[], Any]:
        history = given.x, given.t_x, given.T
        return lambda: {
            "p_alive": model.p_alive(*history),
            "p_purchase": 1 - model.p_no_purchase(*history, horizon=AHEAD),
            "expected": model.expected_purchases(*history, horizon=AHEAD),
            "spend": spend.expected_value(given.x, given.mean_value),
            "clv": clv.clv(
                model, spend, *history, mean_value=given.mean_value, horizon=YEAR,
                annual_discount=ANNUAL, periods_per_year=clv.DAYS_PER_YEAR,
            ),
        }  # fmt: skip

    return Contender("ours", start, lambda card, _: peers.totals(card))


def our_summary() -> Contender:
    def start(given: Log) -> Callable[[], Any]:
        return lambda: purchase_summary.summarise(
            given.customer, given.day, given.amount, as_of=given.as_of
        )

    names = "x", "t_x", "T", "mean_value"
    return Contender(
        "ours", start, lambda s, _: peers.totals({name: getattr(s, name) for name in names})
    )


def as_good(task: str, found: dict[str, Measured]) -> None:
    """Assert that no likelihood is above ours."""
    ours, *others = (what.figures["log_likelihood"] for what in found.values())
    for theirs in others:
        assert ours >= theirs - LIKELIHOOD_TOLERANCE * abs(theirs), (task, ours, theirs)


def fits(report: Report, given: Population, small: Population, *, full: bool) -> None:
    for kind in peers.KINDS:
        slow = kind == "Pareto/NBD" and given.n >= MILLION and not full
        contenders = [our_fit(kind)] if slow else [our_fit(kind), peers.lifetimes_fit(kind)]
        if peers.HAS_PYMC and given.n < MILLION:
            contenders.append(peers.pymc_fit(kind))
        task = f"{kind} fit, {given.n:,}"
        found = race(contenders, given, small)
        as_good(task, found)
        report.add(task, found, given.n / MILLION, aim_at(given, AIMS[kind]))
        if slow:
            alone = found["ours"].seconds
            report.ratios.append(f"{task}: {alone:.2f} s alone; aim 400 x lifetimes with --full")
    task = f"Gamma-Gamma fit, {given.n:,} with {peers.spenders(given)[0].size:,} repeating"
    found = race([our_spend(), peers.lifetimes_spend()], given, small)
    as_good(task, found)
    report.add(task, found, given.n / MILLION, aim_at(given, 60))


def aim_at(given: Population, aim: int) -> dict[str, int]:
    return {"lifetimes": aim} if given.n >= MILLION else {}


def score_card(report: Report, given: Population, small: Population) -> None:
    """Score with the parameters the customers were made of."""
    model = peers.KINDS["BG/NBD"][2].Model.from_params(
        r=populations.R, alpha=populations.ALPHA, a=populations.A, b=populations.B
    )
    spend = gamma_gamma.Model.from_params(p=populations.P, q=populations.Q, v=populations.V)
    ours, theirs = (
        our_card(model, spend),
        peers.lifetimes_card(dict(model.params), dict(spend.params), AHEAD),
    )
    if given.n < MILLION:
        same_cards(ours.start(given)(), theirs.start(given)())
    found = race([ours, theirs], given, small)
    report.add(f"BG/NBD score card, {given.n:,}", found, given.n / MILLION, aim_at(given, 50))


def same_cards(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Assert equal scores, and lifetime values as near as months are to days."""
    for name in ("p_alive", "expected", "spend"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=CARD_TOLERANCE, err_msg=name)
    np.testing.assert_allclose(ours["clv"], theirs["clv"], rtol=CLV_TOLERANCE)


def summaries(report: Report) -> None:
    rows = 10 * MILLION
    contenders = [
        our_summary(),
        peers.polars_summary(packed=False),
        peers.polars_summary(packed=True),
        peers.pandas_summary(),
    ]
    given, small = populations.log(rows, MILLION), populations.log(1000, 100)
    found = race(contenders, given, small, budget=30.0)
    ours, *others = (what.figures for what in found.values())
    for theirs in others:
        for name, total in ours.items():
            assert math.isclose(total, theirs[name], rel_tol=1e-12), (name, total, theirs)
    task = f"summary of {rows:,} rows of {MILLION:,} customers"
    report.add(task, found, rows / MILLION, {"polars": 3, "pandas": 5})


def main(*, full: bool) -> None:
    warnings.simplefilter("ignore")
    started, report = time.perf_counter(), Report()
    small = populations.cdnow()
    for given in (small, *map(populations.simulated, (100_000, MILLION))):
        fits(report, given, small, full=full)
        score_card(report, given.in_days(), small.in_days())
    summaries(report)
    print(f"{time.perf_counter() - started:.0f} s in all; load {os.getloadavg()[0]:.1f}")
    print("\n".join([*report.memory, *report.ratios]))


if __name__ == "__main__":
    main(full="--full" in sys.argv[1:])
