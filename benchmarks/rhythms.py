"""How many customers are of each rhythm, and what share of them came back.

At four cuts of CDNOW and Online Retail, for those with one, two, and three or more purchase days:
within 90 days, and to the end of the log. Whoever is later in rhythm must come back less. The
folder of the whole logs is an argument or `CLM_SCORING_DATA`, as for `benchmarks.backtest`.
"""

import os

os.environ.update(
    dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
)

import argparse
from itertools import pairwise
from typing import Any

import numpy as np

from app.scoring.churn import churn_selection, rhythm
from app.scoring.histories.features import features_at
from benchmarks import logs
from benchmarks.logs import BusinessLog

HORIZON = 90
AFTER = 150  # days that follow the last cut at least
FEW = 20  # a share of fewer customers is no share
CLEAR = 2  # standard errors
GROUPS = {"1 day": (0, 0), "2 days": (1, 1), "3 or more": (2, np.inf)}
STATUSES: tuple[str, ...] = rhythm.STATUSES


def statuses(log: BusinessLog, cut: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Return customers, repeat purchase days and rhythm at a cut, and the kind of the risk."""
    customer, features = features_at(log.facts, as_of=cut)
    risk = churn_selection.choose(log.facts, as_of=cut, horizon=HORIZON).risk
    learnt = rhythm.learn(log.facts, as_of=cut)
    chance = learnt.chance_if_active(risk.process, features.x, features.t_x, features.T)
    returns = 1 - risk.probability(features, horizon=rhythm.LOST_DAYS)
    return customer, features.x, learnt.status(chance, returns), f"{risk.kind}/{risk.process_kind}"


def pairs(shares: dict[str, tuple[int, float]]) -> list[tuple[str, str, float]]:
    """Return each two neighbouring statuses that are not in order, and by how many errors."""
    wrong = []
    known = [name for name in STATUSES if shares[name][0] >= FEW]
    for sooner, later in pairwise(known):
        (n, p), (m, q) = shares[sooner], shares[later]
        error = np.sqrt(p * (1 - p) / n + q * (1 - q) / m)
        if q > p:
            wrong.append((sooner, later, (q - p) / max(error, 1e-9)))
    return wrong


def show(log: BusinessLog, cut: int) -> tuple[int, list[str], int]:
    """Print the table of a cut; return how many orders were looked at, which fail, how clearly."""
    customer, x, status, kind = statuses(log, cut)
    soon = log.purchases(customer, after=cut, until=cut + HORIZON) > 0
    ever = log.purchases(customer, after=cut, until=log.end) > 0
    print(f"{log.name}, day {cut - log.first_cut:+d}, {log.end - cut} days after it, {kind}: "
          f"customers, share back in {HORIZON} days, to the end")  # fmt: skip
    looked, wrong, clear = 0, [], 0
    for group, (low, high) in GROUPS.items():
        rows = (x >= low) & (x <= high)
        cells: dict[str, Any] = {}
        for code, name in enumerate(STATUSES):
            of = rows & (status == code)
            n = int(of.sum())
            cells[name] = n, *((float(back[of].mean()) if n else np.nan) for back in (soon, ever))
        text = "".join(f"{name:>9} {n:6} {a:.3f} {b:.3f}" for name, (n, a, b) in cells.items())
        print(f"  {group:10}{text}")
        for at, when in ((1, f"in {HORIZON} days"), (2, "to the end")):
            shares = {name: (cell[0], cell[at]) for name, cell in cells.items()}
            looked += sum(shares[a][0] >= FEW and shares[b][0] >= FEW for a, b in pairwise(shares))
            for sooner, later, z in pairs(shares):
                wrong.append(
                    f"{log.name}, day {cut - log.first_cut:+d}, {group}, {when}: {later} "
                    f"{shares[later][1]:.3f} above {sooner} {shares[sooner][1]:.3f} "
                    f"({z:.1f} standard errors)"
                )
                clear += z > CLEAR
    return looked, wrong, clear


def main(folder: str | None) -> None:
    looked, clear, wrong = 0, 0, []
    data = logs.folder(folder)
    for log in (logs.cdnow(data), logs.retail()):
        for cut in log.cuts(AFTER):
            found = show(log, cut)
            looked, clear = looked + found[0], clear + found[2]
            wrong += found[1]
    print("\n".join(wrong))
    print(
        f"order of rhythm: broken in {len(wrong)} of {looked} pairs of statuses of {FEW} customers "
        f"or more (aim 0), in {clear} by more than {CLEAR} standard errors"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?")
    main(parser.parse_args().folder)
