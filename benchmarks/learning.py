"""Memory and seconds of learning on a million customers with ten million purchases.

First of all that a deployment learns, of `--whole` customers, then of its pieces. Each measure in a
process of its own, on one thread: megabytes at the peak above the input, and processor seconds.
Continuous times are the hard case, where hardly two histories are equal. The ratios to the limits
come last.
"""

import os

os.environ.update(
    dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
)

import argparse
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from app.scoring.histories import features, purchase_summary
from app.scoring.purchases import bg_nbd, mbg_nbd, nbd, pareto_nbd, registry
from app.scoring.spend import gamma_gamma
from benchmarks import populations, trees
from benchmarks.measured import Contender, Measured, race
from benchmarks.populations import Log, Population
from tests.scoring.populations import population

SUMMARY_LIMIT, MODEL_LIMIT = 200, 150  # megabytes of ten million rows, and of a million customers
WHOLE_LIMIT = 400, 1_000  # megabytes of the customers that risk is learnt from, and of a million
WHOLE = [100_000, 1_000_000]
DEGENERATE, SLOWEST = 500, 1.0  # populations, and seconds
AHEAD = 90.0
KINDS = {"Pareto/NBD": pareto_nbd, "BG/NBD": bg_nbd, "MBG/NBD": mbg_nbd, "NBD": nbd}


def continuous(n: int) -> Population:
    """Return customers whose purchases come at any time of a day."""
    given, rng = populations.simulated(n), np.random.default_rng(1)
    T = given.T + rng.random(n)
    t_x = np.where(given.x > 0, np.minimum(given.t_x + rng.random(n), T), 0.0)
    return dataclasses.replace(given, t_x=t_x, T=T)


def fit(kind: Any) -> Callable[[Population], Callable[[], Any]]:
    return lambda given: lambda: kind.fit(given.x, given.t_x, given.T)


def erlang(given: Population) -> Callable[[], Any]:
    gaps = given.x * np.log(np.maximum(given.t_x, 1e-9) / np.maximum(given.x, 1)) - 0.5 * given.x
    kind = registry.MODELS["mbg_cnbd_k"]
    return lambda: kind.fit(given.x, given.t_x, given.T, sum_log_gaps=gaps)


def score(model: Any) -> Callable[[Population], Callable[[], Any]]:
    def start(given: Population) -> Callable[[], Any]:
        history = given.x, given.t_x, given.T
        return lambda: (
            model.p_alive(*history),
            model.p_no_purchase(*history, horizon=AHEAD),
            model.expected_purchases(*history, horizon=AHEAD),
            model.discounted_purchases(*history, annual_discount=0.1, periods_per_year=365.25),
        )

    return start


def spend(given: Population) -> Callable[[], Any]:
    paid = given.x > 0
    days, mean = given.x[paid], given.mean_value[paid]
    return lambda: gamma_gamma.fit(days, mean)


def summary(given: Log) -> Callable[[], Any]:
    return lambda: purchase_summary.summarise(
        given.customer, given.day, given.amount, as_of=given.as_of
    )


def seen(given: Log) -> Callable[[], Any]:
    log = features.Facts(customer=given.customer, day=given.day, amount=given.amount)
    return lambda: features.features_at(log, as_of=given.as_of)


def everything(given: Log) -> Callable[[], Any]:
    """Learn risk, purchases and season, as a deployment does."""
    log = features.Facts(customer=given.customer, day=given.day, amount=given.amount)

    def learn() -> Any:
        _, known = features.features_at(log, as_of=given.as_of)
        return trees.learnt(log, given.as_of, int(AHEAD), known)

    return learn


def whole(customers: int) -> str:
    """Return what it takes to learn everything from customers with ten purchases each."""
    given, small = populations.log(10 * customers, customers), populations.log(1000, 100)
    limit = WHOLE_LIMIT[0] + WHOLE_LIMIT[1] * customers / 1e6
    return report(f"risk, purchases and season of {customers:,} customers",
                  measured(everything, given, small), limit)  # fmt: skip


def measured(start: Callable[[Any], Callable[[], Any]], given: Any, small: Any) -> Measured:
    return race([Contender("", start, lambda *_: {})], given, small, budget=0)[""]


def report(task: str, found: Measured, limit: float) -> str:
    print(f"{task}: {found.megabytes:.0f} MB above its input, {found.seconds:.2f} s", flush=True)
    return f"{task}: {found.megabytes / limit:.2f} x its limit of {limit:.0f} MB"


def logs(rows: int, customers: int) -> list[str]:
    given, small = populations.log(rows, customers), populations.log(1000, 100)
    limit = SUMMARY_LIMIT * rows / 1e7
    back = dataclasses.replace(given, amount=np.where(np.arange(rows) % 20, given.amount, -5.0))
    return [
        report(f"summary of {rows:,} rows", measured(summary, given, small), limit),
        report(f"summary of {rows:,} rows, 5 % refunds", measured(summary, back, small), limit),
        report(f"features of {rows:,} rows", measured(seen, given, small), limit),
    ]


def models(n: int) -> list[str]:
    given, small = continuous(n), continuous(300)
    limit = MODEL_LIMIT * n / 1e6
    found = [
        report(f"{name} fit, {n:,}, continuous", measured(fit(kind), given, small), limit)
        for name, kind in KINDS.items()
    ]
    found.append(report(f"MBG/CNBD-k fit, {n:,}", measured(erlang, given, small), limit))
    found.append(report(f"Gamma-Gamma fit, {n:,}", measured(spend, given, small), limit))
    for name, kind in KINDS.items():
        what = measured(score(kind.fit(small.x, small.t_x, small.T)), given, small)
        found.append(report(f"{name} scores, {n:,}, continuous", what, limit))
    return found


def degenerate() -> str:
    slowest: tuple[float, int] = (0.0, 0)
    for seed in range(DEGENERATE):
        x, t_x, T, _ = population(seed)
        started = time.process_time()
        pareto_nbd.fit(x, t_x, T)
        slowest = max(slowest, (time.process_time() - started, seed))
    print(f"Pareto/NBD of {DEGENERATE} populations: slowest {slowest[0]:.2f} s, {slowest[1]}")
    return (
        f"slowest of {DEGENERATE} populations: {slowest[0] / SLOWEST:.2f} x its limit of a second"
    )


def main(rows: int, customers: int, whole_of: list[int], *, only_whole: bool) -> None:
    lines = [whole(some) for some in whole_of]
    if not only_whole:
        lines += [*logs(rows, customers), *models(customers), degenerate()]
    print("\n".join(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--whole", type=int, nargs="*", default=WHOLE, help="customers")
    parser.add_argument("--only-whole", action="store_true")
    asked = parser.parse_args()
    main(asked.rows, asked.customers, asked.whole, only_whole=asked.only_whole)
