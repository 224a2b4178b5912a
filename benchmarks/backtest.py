"""Churn risk told in the past beside what happened, and beside rules that need no model.

CDNOW after 39 weeks for the next 39, and UCI Online Retail before its last 13 weeks for these; then
four cuts of each log for three horizons (`benchmarks.windows`), also as another tree tells them
(`--before FOLDER`), or by some of the customers alone (`--quick`). The whole CDNOW log and
`rfm_orders.csv` are not in the repository: give their folder as an argument or in
`CLM_SCORING_DATA`, else the 1/10 sample of CDNOW is used. Everything is learnt from what came
before.
"""

import os

os.environ.update(
    dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
)

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from app.scoring.churn import backtest, churn_selection, landmark
from app.scoring.histories.features import Facts, features_at
from benchmarks import logs, populations, windows

MILLION = 1_000_000
QUICK = 3_000
ECE_AIM = 0.05
COLUMNS = (
    "brier", "log_loss", "auc", "auc_error", "ece", "ece_recalibrated", "lift_leaving",
    "lift_buying",
)  # fmt: skip


def show(name: str, facts: Facts, cut: int, horizon: int) -> list[str]:
    """Print the tables of one back-test; return the lines to be printed last."""
    started = time.process_time()
    report = backtest.run(facts, as_of=cut + horizon, horizon=horizon)
    seconds = time.process_time() - started
    fold = report["folds"][0]
    choice = fold["choice"]
    print(
        f"{name}: {fold['customers']} customers, {horizon} days ahead, {fold['churned']:.1%} left; "
        f"chosen {choice['chosen']} ({choice['reason']}), learnt on {choice['label_window']} days, "
        f"{seconds:.1f} s"
    )
    print(f"{'':12}" + "".join(f"{column:>17}" for column in COLUMNS))
    for kind, row in fold["contenders"].items():
        print(f"{kind:12}" + "".join(f"{row[column]:17.4f}" for column in COLUMNS))
    ends = fold["intervals"]
    for figure, value in ends["estimate"].items():
        low, high = ends["lower"][figure], ends["upper"][figure]
        print(f"{figure} of the chosen: {value:.4f}, 95 % from {low:.4f} to {high:.4f}")
    print("tenth of risk: customers, told, left (95 %), purchases expected and made")
    for row, sums in zip(fold["calibration"], fold["groups"], strict=True):
        print(
            f"{row['n']:6} {row['predicted']:.3f} {row['churned']:.3f} "
            f"({row['lower']:.3f}..{row['upper']:.3f}) "
            f"{sums['expected_purchases']:9.1f} {sums['purchases']:7.0f}"
        )
    for band in fold["bands"]["bands"]:
        if band["n"]:
            print(
                f"{band['name']}: of 100 customers {100 * band['churned']:.0f} left ({band['n']})"
            )
    return verdicts(name, fold["contenders"])


def verdicts(name: str, rows: dict[str, dict[str, Any]]) -> list[str]:
    chosen = rows["chosen"]
    best = max(rows, key=lambda kind: rows[kind]["auc"])
    behind = (rows[best]["auc"] - chosen["auc"]) / chosen["auc_error"]
    return [
        f"{name}: AUC {chosen['auc']:.4f}, {behind:.2f} standard errors behind {best} (aim 1)",
        f"{name}: ECE {chosen['ece']:.3f}, recalibrated {chosen['ece_recalibrated']:.3f} "
        f"(aim {ECE_AIM})",
    ]


def timings(facts: Facts, cut: int, horizon: int) -> list[str]:
    """Time learning from CDNOW, and scoring a million customers drawn from it."""
    calibrations = []
    for name, work in (
        ("landmark.fit", landmark.fit),
        ("churn_choice.choose", churn_selection.choose),
    ):
        started = time.process_time()
        found = work(facts, as_of=cut, horizon=horizon)
        calibrations.append(f"{name}: {time.process_time() - started:.2f} s")
    del found
    risk = landmark.fit(facts, as_of=cut, horizon=horizon)
    _, features = features_at(facts, as_of=cut)
    many = features.take(np.random.default_rng(0).integers(0, len(features), MILLION))
    started = time.process_time()
    risk.log_odds(many, horizon=horizon)
    ours = time.process_time() - started
    started = time.process_time()
    risk.process.no_purchase_log_odds(many.x, many.t_x, many.T, horizon=horizon)
    process = time.process_time() - started
    calibrations.append(f"a million scores: {ours:.2f} s, by the process alone {process:.2f} s")
    return calibrations


def main(
    folder: str | None, before: Path | None, *, only_windows: bool, customers: int | None
) -> None:
    every = logs.every(logs.folder(folder))
    if customers is not None:
        every = [log.some(customers) for log in every]
    calibrations = []
    if not only_windows:
        cdnow, retail, *_ = every
        cut = populations.CALIBRATION_END
        calibrations += show(cdnow.name, cdnow.facts, cut, 273)
        calibrations += show(retail.name, retail.facts, retail.end - 91, 91)
        calibrations += timings(cdnow.facts, cut, 273)
    calibrations += windows.run(every, before)
    print("\n".join(calibrations))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--before", type=Path, help="folder of another tree")
    parser.add_argument("--only-windows", action="store_true")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} customers of each log")
    asked = parser.parse_args()
    most = QUICK if asked.quick else None
    main(asked.folder, asked.before, only_windows=asked.only_windows, customers=most)
