"""Numbers told of businesses whose truth is known, beside what came, and what intervals held.

A business without surprises, one with a season, one that grows, one after a strike, one after a
price rise, one of subscriptions, and one of two kinds of customers who have nothing in common. Each
is drawn several times (`--seeds`), looked at from two days, 30, 90 and 180 days ahead, as another
tree does too (`--before FOLDER`). Everything is learnt from what came before. Last come, by
business, the mean error of totals and the bias, how far risk was off in the mean, and the share of
80 % intervals that held the total; over all, what is aimed at is 75 to 85 %.
"""

import argparse
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.scoring.evaluation import metrics
from app.scoring.histories.features import Facts
from benchmarks import invented
from benchmarks.invented import Invented, Plan
from benchmarks.logs import BusinessLog
from benchmarks.trees import CHOSEN, PURCHASES, Tree
from benchmarks.windows import HORIZONS, held

DAYS, CUTS = 1280, (820, 1010)
SHOCK_DAYS = 75  # before a cut
BEFORE = "before"
AIM = 0.75, 0.85
Row = dict[str, Any]


def _common(rng: np.random.Generator, n: int) -> dict[str, Any]:
    """Return customers who come evenly, differ in their gaps, and leave after some purchases."""
    rate = rng.gamma(1.5, 1 / 1.5, n) / 45
    return {"start": rng.integers(0, CUTS[1], n), "gap": 1 / np.maximum(rate, 1e-4), "ends": 0.06}


def calm(rng: np.random.Generator, n: int, cut: int) -> Plan:
    del cut
    return Plan(**_common(rng, n), pace=np.ones(DAYS))


def season(rng: np.random.Generator, n: int, cut: int) -> Plan:
    """Twice as much and more in November and December of each year."""
    del cut
    return Plan(**_common(rng, n), pace=invented.year_end(DAYS, 0.8, 2.0, 61))


def growth(rng: np.random.Generator, n: int, cut: int) -> Plan:
    """Everybody buys 40 % faster from year to year, and customers double in 300 days."""
    del cut
    start = CUTS[1] + 300 * np.log2(rng.uniform(2 ** (-CUTS[1] / 300), 1, n))
    given = _common(rng, n) | {"start": np.clip(start.astype(int), 0, CUTS[1])}
    return Plan(**given, pace=1.4 ** ((np.arange(DAYS) - DAYS) / invented.YEAR))


def strike(rng: np.random.Generator, n: int, cut: int) -> Plan:
    """Nobody could buy for a month, not long before the cut."""
    pace = np.ones(DAYS)
    pace[cut - SHOCK_DAYS : cut - SHOCK_DAYS + 30] = 0.0
    return Plan(**_common(rng, n), pace=pace)


def price_rise(rng: np.random.Generator, n: int, cut: int) -> Plan:
    """All is dearer by a quarter since some weeks before the cut, and bought less often."""
    after = np.arange(DAYS) >= cut - SHOCK_DAYS
    return Plan(**_common(rng, n), pace=np.where(after, 0.7, 1.0),
                price=np.where(after, 1.25, 1.0))  # fmt: skip


def subscription(rng: np.random.Generator, n: int, cut: int) -> Plan:
    """A payment every month, to within days, until one of thirty is the last."""
    del cut
    given = _common(rng, n) | {"gap": np.full(n, 30.4), "ends": 1 / 30}
    return Plan(**given, regular=100, pace=np.ones(DAYS))


def mixed(rng: np.random.Generator, n: int, cut: int) -> Plan:
    """Half buy every two weeks and stay, half twice a year and mostly leave."""
    del cut
    often = rng.random(n) < 0.5
    given = _common(rng, n) | {"gap": np.where(often, 14.0, 180.0),
                               "ends": np.where(often, 0.02, 0.35)}  # fmt: skip
    return Plan(**given, pace=np.ones(DAYS))


BUSINESSES: tuple[Callable[[np.random.Generator, int, int], Plan], ...] = (
    calm, season, growth, strike, price_rise, subscription, mixed,
)  # fmt: skip


def drawn(seeds: int, customers: int) -> Iterator[Invented]:
    """Return the log of each business, drawn anew for each seed, cut and horizon."""
    for business in BUSINESSES:
        for seed in range(seeds):
            for cut in CUTS:
                for horizon in HORIZONS:
                    rng = np.random.default_rng([seed, cut, horizon])
                    facts = invented.bought(business(rng, customers, cut), rng)
                    yield Invented(business.__name__, facts, cut, horizon)


def judged(one: Invented, found: dict[str, Any]) -> Row:
    log = BusinessLog(one.name, Facts(**one.facts), one.cut)
    made = log.purchases(found["customer"], after=one.cut, until=one.cut + one.horizon)
    left, told = (made == 0).astype(float), found["told"][CHOSEN]
    errors = {name: float(found["expected"][name].sum() / max(made.sum(), 1) - 1)
              for name in (CHOSEN, PURCHASES)}  # fmt: skip
    return {
        "made": made.sum(),
        "errors": errors,
        "off": float(told.mean() - left.mean()),
        "loss": metrics.log_loss_each(told, left),
        "base": metrics.log_loss(found["told"]["base_rate"], left),
        "ece": metrics.ece(told, left),
        "held": held(found["intervals"], made),
        "season": found["season"] is not None,
        "kind": f"{found['choice']['chosen']}/{found['process']}",
    }


def line(one: Invented, row: Row, who: str) -> str:
    errors = ", ".join(f"{name} {error:+.1%}" for name, error in row["errors"].items())
    return (
        f"{one.name:14}{who:8}{one.cut:5}{one.horizon:4}  risk off by {row['off']:+.3f}, totals "
        f"{errors}, intervals {row['held']}, season {row['season']}, {row['kind']}"
    )


def table(who: str, rows: list[tuple[Invented, Row]]) -> list[str]:
    """Return the figures of each business, as a table of Markdown."""
    lines = [
        f"| {who} | windows | log loss, base rate's | calibration error | risk off by | "
        "totals off by, bias | by the process | totals in theirs | customers, promised |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    names = [business.__name__ for business in BUSINESSES]
    for name in [*names, "all"]:
        own = [row for one, row in rows if name in (one.name, "all")]
        losses = f"{_mean(row['loss'].mean() for row in own):.4f}, "
        losses += f"{_mean(row['base'] for row in own):.4f}"
        served, process = (np.array([row["errors"][by] for row in own])
                           for by in (CHOSEN, PURCHASES))  # fmt: skip
        known = [row["held"] for row in own if row["held"]]
        inside = f"{_mean(each['total'] for each in known):.0%}" if known else ""
        customers = ", ".join(f"{_mean(each[part] for each in known):.1%}"
                              for part in ("inside", "promised")) if known else ""  # fmt: skip
        lines.append(
            f"| {name} | {len(own)} | {losses} | {_mean(row['ece'] for row in own):.3f} | "
            f"{_mean(abs(row['off']) for row in own):.3f} | {np.abs(served).mean():.3f}, "
            f"{served.mean():+.3f} | {np.abs(process).mean():.3f}, {process.mean():+.3f} | "
            f"{inside} | {customers} |"
        )
    return lines


def _mean(numbers: Any) -> float:
    found: NDArray[np.float64] = np.array(list(numbers), dtype=np.float64)
    return float(found.mean())


def main(seeds: int, customers: int, before: Path | None) -> None:
    rows: dict[str, list[tuple[Invented, Row]]] = {"now": []}
    with contextlib.ExitStack() as stack:
        trees = {"now": stack.enter_context(Tree())}
        if before is not None:
            trees[BEFORE], rows[BEFORE] = stack.enter_context(Tree(before)), []
        for one in drawn(seeds, customers):
            for who, tree in trees.items():
                found = tree.ask(one.facts, one.cut, one.horizon, beside=False)
                rows[who].append((one, judged(one, found)))
                print(line(*rows[who][-1], who), flush=True)
    for who, own in rows.items():
        print("\n".join(table(who, own)))
    known = [row["held"] for _, row in rows["now"] if row["held"]]
    if known:
        share = _mean(each["total"] for each in known)
        print(f"totals in their 80 % intervals: {share:.1%} of {len(known)} "
              f"(aim {AIM[0]:.0%} to {AIM[1]:.0%})")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--customers", type=int, default=2_000)
    parser.add_argument("--before", type=Path, help="folder of another tree")
    asked = parser.parse_args()
    main(asked.seeds, asked.customers, asked.before)
