"""Churn risk and purchases told at four cuts of each log, for 30, 90 and 180 days ahead.

Beside what happened, and beside the process that the risk starts from, other models of purchases,
rules of silence, another tree, and, where they are installed, lifetimes and what scikit-learn
learns of the same days. Differences are paired by customer.
"""

import contextlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from app.scoring.evaluation import metrics, ranking
from benchmarks import learners
from benchmarks.logs import BusinessLog
from benchmarks.trees import CHOSEN, RAW, Tree

HORIZONS = 30, 90, 180
BEFORE = "before"
SHOWN = (CHOSEN, BEFORE, RAW, "mbg_nbd", "pareto_nbd", "hiatus", "own_cadence", "base_rate",
         "lifetimes", learners.LOGISTIC, learners.BOOSTING)  # fmt: skip
RIVALS = ("mbg_nbd", "bg_nbd", "pareto_nbd", "hiatus", "base_rate", "lifetimes", learners.LOGISTIC,
          learners.BOOSTING)  # fmt: skip
ECE_AIM, ECE_CUSTOMERS = 0.05, 700
FIGURES = "log_loss", "brier", "auc", "ece"
HAS_LIFETIMES = importlib.util.find_spec("lifetimes") is not None
CLEAR = 2  # standard errors

Row = dict[str, Any]


def peer(history: tuple[np.ndarray, ...], horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what the Pareto/NBD of lifetimes tells: risk of no purchase, and purchases."""
    from lifetimes import ParetoNBDFitter  # noqa: PLC0415

    x, t_x, T = history
    rows, of, n = np.unique(
        np.column_stack([x, t_x / 7, T / 7]), axis=0, return_inverse=True, return_counts=True
    )
    model = ParetoNBDFitter().fit(*rows.T, weights=n, initial_params=np.ones(4))  # not at random
    p = model.conditional_probability_of_n_purchases_up_to_time(0, horizon / 7, *rows.T)
    made = model.conditional_expected_number_of_purchases_up_to_time(horizon / 7, *rows.T)
    return np.clip(p, 0, 1)[of.ravel()], np.asarray(made)[of.ravel()]


def figures(told: np.ndarray, rank: np.ndarray, left: np.ndarray) -> Row:
    both = 0 < left.mean() < 1
    return {
        "log_loss": metrics.log_loss(told, left),
        "brier": metrics.brier(told, left),
        "auc": ranking.auc(rank, left) if both else float("nan"),
        "ece": metrics.ece(told, left),
        "each": metrics.log_loss_each(told, left),
    }


def window(log: BusinessLog, trees: dict[str, Tree], cut: int, horizon: int) -> dict[str, Row]:
    """Return the figures of all contenders in one window."""
    facts = {name: getattr(log.facts, name) for name in ("customer", "day", "amount")}
    found = trees[CHOSEN].ask(facts, cut, horizon, beside=True)
    told, expected, ranks = found["told"], found["expected"], found["ranks"]
    if BEFORE in trees:
        other = trees[BEFORE].ask(facts, cut, horizon, beside=True)
        told[BEFORE], expected[BEFORE] = other["told"][CHOSEN], other["expected"][CHOSEN]
    if HAS_LIFETIMES:
        p, purchases = peer(found["history"], horizon)
        if np.isfinite(p).all():  # of some data it makes no numbers
            told["lifetimes"], expected["lifetimes"] = p, purchases
    if learners.INSTALLED:
        told |= learners.told(log.facts, cut, horizon)
    made = log.purchases(found["customer"], after=cut, until=cut + horizon)
    left = (made == 0).astype(float)
    rows = {}
    for name in [*SHOWN, *(name for name in told if name not in SHOWN)]:
        if name not in told:
            continue
        rows[name] = figures(told[name], ranks.get(name, told[name]), left)
        if name in expected:
            rows[name]["total"] = float(expected[name].sum() / max(made.sum(), 1) - 1)
    choice = found["choice"]
    rows[CHOSEN] |= {
        "kind": f"{choice['chosen']}/{found['process']}",
        "guard": choice.get("guard"),
        "below": float(np.mean(expected[CHOSEN] < 1 - told[CHOSEN] - 1e-12)),
        "left": float(left.mean()),
        "told": float(told[CHOSEN].mean()),
        "seconds": found["seconds"],
    }
    return rows


def show(name: str, rows: dict[str, Row]) -> None:
    own = rows[CHOSEN]
    print(
        f"{name}: {own['each'].size} customers, {own['left']:.3f} left, {own['told']:.3f} told, "
        f"{own['kind']}, {own['seconds']:.1f} s, E < 1 - p on {own['below']:.1%}, "
        f"guard {own['guard']}"
    )
    for contender in SHOWN:
        if contender not in rows:
            continue
        row = rows[contender]
        numbers = " ".join(f"{figure} {row[figure]:.4f}" for figure in FIGURES)
        total = f" purchases {row['total']:+.1%}" if "total" in row else ""
        lead = metrics.difference(own["each"], row["each"])
        print(f"    {contender:12} {numbers}{total}  chosen {lead.value:+.4f} "
              f"({lead.standard_error:.4f})", flush=True)  # fmt: skip


def against(windows: list[dict[str, Row]], name: Callable[[dict[str, Row]], str]) -> str:
    """Return in how many windows the chosen is clearly better or worse than a contender."""
    z, gaps = [], []
    windows = [rows for rows in windows if name(rows) in rows]
    for rows in windows:
        lead = metrics.difference(rows[CHOSEN]["each"], rows[name(rows)]["each"])
        gaps.append(lead.value)
        z.append(lead.value / lead.standard_error if lead.standard_error > 0 else 0.0)
    worse = sum(each > CLEAR for each in z)
    better = sum(each < -CLEAR for each in z)
    return (
        f"better in {better}, worse in {worse} of {len(windows)} windows by more than {CLEAR} "
        f"standard errors, log loss {np.mean(gaps):+.4f}"
    )


def best_process(rows: dict[str, Row]) -> str:
    """Return the model of purchases that turned out best by itself."""
    kinds = [name for name in rows if name not in SHOWN or name in ("mbg_nbd", "pareto_nbd")]
    return min(kinds, key=lambda name: rows[name]["log_loss"])


def best_rival(rows: dict[str, Row]) -> str:
    """Return which of those that anybody might use in place of it turned out best."""
    return min((name for name in RIVALS if name in rows), key=lambda name: rows[name]["log_loss"])


def calibrated(windows: list[dict[str, Row]], name: str) -> str:
    off = [rows[name]["ece"] for rows in windows
           if name in rows and rows[name]["each"].size >= ECE_CUSTOMERS]  # fmt: skip
    good = sum(each <= ECE_AIM for each in off)
    return f"{good} of {len(off)} windows of {ECE_CUSTOMERS} customers or more"


def verdicts(name: str, windows: list[dict[str, Row]]) -> list[str]:
    lines = []
    for contender in SHOWN[1:]:
        if any(contender in rows for rows in windows):
            found = against(windows, lambda _, contender=contender: contender)
            lines.append(f"{name}: chosen against {contender}: {found}")
    lines.insert(0, f"{name}: chosen against the best process by hindsight: "
                 + against(windows, best_process))  # fmt: skip
    for contender in (CHOSEN, BEFORE, RAW, "lifetimes"):
        rows = [rows[contender] for rows in windows if contender in rows]
        if rows:
            means = ", ".join(
                f"{figure} {np.nanmean([row[figure] for row in rows]):.4f}" for figure in FIGURES
            )
            off = np.mean([abs(row["total"]) for row in rows])
            lines.append(f"{name}: {contender}: {means}, totals of purchases off by {off:.1%}")
    return lines


def run(every: list[BusinessLog], before: Path | None) -> list[str]:
    """Print all windows; return the lines to be printed last."""
    lines, windows = [], []
    with contextlib.ExitStack() as stack:
        trees = {CHOSEN: stack.enter_context(Tree())}
        if before is not None:
            trees[BEFORE] = stack.enter_context(Tree(before))
        for log in every:
            own = []
            for horizon in HORIZONS:
                for cut in log.cuts(horizon):
                    own.append(window(log, trees, cut, horizon))
                    show(f"{log.name}, day {cut - log.first_cut:+d}, {horizon} ahead", own[-1])
            lines += verdicts(log.name, own)
            windows += own
    lines += verdicts("all", windows)
    for contender in (CHOSEN, BEFORE, *RIVALS):
        if any(contender in rows for rows in windows):
            lines.append(f"{contender}: calibration error at most {ECE_AIM} in "
                         f"{calibrated(windows, contender)} (aim 8 in 10)")  # fmt: skip
    below = max(rows[CHOSEN]["below"] for rows in windows)
    rival = against(windows, best_rival)
    return [
        *lines,
        f"chosen against the best rival by hindsight: {rival} (aim: worse in 15 %)",
        f"E < 1 - p on at most {below:.1%} of the customers of a window (aim 0)",
        f"chosen against its process: {against(windows, lambda _: RAW)} (aim: worse in 0)",
    ]
