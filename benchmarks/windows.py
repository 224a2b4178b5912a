"""Churn risk and purchases told at four cuts of each log, for 30, 90 and 180 days ahead.

Beside what happened, and beside the process that the risk starts from, other models of purchases,
rules of silence, another tree, and, where they are installed, three models of lifetimes and what
scikit-learn learns of the same days. Differences are paired by customer.
"""

import contextlib
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from app.scoring.evaluation import metrics, ranking
from benchmarks import learners, peers
from benchmarks.logs import BusinessLog
from benchmarks.trees import CHOSEN, PURCHASES, RAW, Tree

HORIZONS = 30, 90, 180
BEFORE = "before"
COMPONENTS = "process", "regression", "trees"
LEARNERS = learners.LOGISTIC, learners.BOOSTING
SHOWN = (CHOSEN, BEFORE, RAW, PURCHASES, *COMPONENTS, "mbg_nbd", "pareto_nbd", "hiatus",
         "own_cadence", "base_rate", *peers.NAMES, *LEARNERS)  # fmt: skip
RIVALS = ("mbg_nbd", "bg_nbd", "pareto_nbd", "hiatus", "base_rate", *peers.NAMES, *LEARNERS)
ECE_AIM, ECE_CUSTOMERS = 0.05, 700
FIGURES = "log_loss", "brier", "auc", "ece"
CLEAR = 2  # standard errors
EPOCH = dt.date(1970, 1, 1).toordinal()
BEHIND_AIM, ECE_SHARE_AIM, TOTALS_AIM = 0.15, 0.8, 0.15

Row = dict[str, Any]


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
    facts["day"] = np.asarray(facts["day"]) - EPOCH  # seasons know the calendar by it
    found = trees[CHOSEN].ask(facts, cut - EPOCH, horizon, beside=True)
    told, expected, ranks = found["told"], found["expected"], found["ranks"]
    if BEFORE in trees:
        other = trees[BEFORE].ask(facts, cut - EPOCH, horizon, beside=True)
        told[BEFORE], expected[BEFORE] = other["told"][CHOSEN], other["expected"][CHOSEN]
    if peers.INSTALLED:
        for name, (p, purchases) in peers.told(found["history"], horizon).items():
            told[name], expected[name] = p, purchases
    if learners.INSTALLED:
        told |= learners.told(log.facts, cut, horizon)
    made = log.purchases(found["customer"], after=cut, until=cut + horizon)
    left = (made == 0).astype(float)
    rows: dict[str, Row] = {}
    for name in [*SHOWN, *(name for name in told if name not in SHOWN)]:
        if name in told:
            rows[name] = figures(told[name], ranks.get(name, told[name]), left)
        if name in expected:
            total = float(expected[name].sum() / max(made.sum(), 1) - 1)
            rows[name] = {**rows.get(name, {}), "total": total}
    choice = found["choice"]
    rows[CHOSEN] |= {
        "season": found["season"] is not None,
        "weights": found["weights"],
        "held": held(found["intervals"], made),
        "kind": f"{choice['chosen']}/{found['process']}",
        "guard": choice.get("guard"),
        "below": float(np.mean(expected[CHOSEN] < 1 - told[CHOSEN] - 1e-12)),
        "left": float(left.mean()),
        "told": float(told[CHOSEN].mean()),
        "seconds": found["seconds"],
    }
    return rows


def held(told: dict[str, Any] | None, made: np.ndarray) -> Row | None:
    """Return what intervals promised to hold and held, of customers and of their total."""
    if told is None:
        return None
    low, high, promised = told["each"]
    least, most = told["total"]
    return {
        "promised": float(promised.mean()),
        "inside": float(((made >= low) & (made <= high)).mean()),
        "total": bool(least <= made.sum() <= most),
        "between": told["between"],
    }


def show(name: str, rows: dict[str, Row]) -> None:
    own = rows[CHOSEN]
    print(
        f"{name}: {own['each'].size} customers, {own['left']:.3f} left, {own['told']:.3f} told, "
        f"{own['kind']}, {own['seconds']:.1f} s, E < 1 - p on {own['below']:.1%}, "
        f"season {own['season']}, weights {own['weights']}, intervals {own['held']}, "
        f"guard {own['guard']}"
    )
    for contender in SHOWN:
        if contender not in rows:
            continue
        row = rows[contender]
        total = f" purchases {row['total']:+.1%}" if "total" in row else ""
        if "each" not in row:
            print(f"    {contender:22}{total}")
            continue
        numbers = " ".join(f"{figure} {row[figure]:.4f}" for figure in FIGURES)
        lead = metrics.difference(own["each"], row["each"])
        print(f"    {contender:22} {numbers}{total}  chosen {lead.value:+.4f} "
              f"({lead.standard_error:.4f})", flush=True)  # fmt: skip


def leads(windows: list[dict[str, Row]], name: Callable[[dict[str, Row]], str]) -> np.ndarray:
    """Return how far the chosen is behind a contender, in standard errors, window by window."""
    z = []
    for rows in windows:
        other = rows.get(name(rows), {})
        if "each" in other:
            lead = metrics.difference(rows[CHOSEN]["each"], other["each"])
            z.append(lead.value / lead.standard_error if lead.standard_error > 0 else 0.0)
    return np.array(z)


def against(windows: list[dict[str, Row]], name: Callable[[dict[str, Row]], str]) -> str:
    """Return in how many windows the chosen is clearly better or worse than a contender."""
    z = leads(windows, name)
    return (
        f"better in {sum(z < -CLEAR)}, worse in {sum(z > CLEAR)} of {z.size} windows by more than "
        f"{CLEAR} standard errors, log loss {gap(windows, name):+.4f}"
    )


def gap(windows: list[dict[str, Row]], name: Callable[[dict[str, Row]], str]) -> float:
    """Return the mean log loss of the chosen less that of a contender, over the same windows."""
    gaps = [rows[CHOSEN]["log_loss"] - rows[name(rows)]["log_loss"] for rows in windows
            if "each" in rows.get(name(rows), {})]  # fmt: skip
    return float(np.mean(gaps))


def best_process(rows: dict[str, Row]) -> str:
    """Return the model of purchases that turned out best by itself."""
    kinds = [name for name in rows if name.endswith("_nbd") or "cnbd" in name]
    return min(kinds, key=lambda name: rows[name]["log_loss"])


def best_rival(rows: dict[str, Row]) -> str:
    """Return which of those that anybody might use in place of it turned out best."""
    return min((name for name in RIVALS if name in rows), key=lambda name: rows[name]["log_loss"])


def table(name: str, windows: list[dict[str, Row]]) -> list[str]:
    """Return the means of all contenders over the same windows, as a table of Markdown."""
    lines = [
        f"| {name}, {len(windows)} windows | log loss | Brier | AUC | calibration error | "
        "totals off by | lead of chosen | ahead of it, behind it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for contender in SHOWN:
        rows = [row[contender] for row in windows if contender in row]
        if not rows:
            continue
        known = [row for row in rows if "each" in row]
        cells = [f"{np.nanmean([row[figure] for row in known]):.4f}" if known else ""
                 for figure in FIGURES]  # fmt: skip
        totals = [abs(row["total"]) for row in rows if "total" in row]
        cells.append(f"{np.mean(totals):.3f}" if totals else "")
        z = leads(windows, lambda _, contender=contender: contender)
        cells.append(f"{gap(windows, lambda _, name=contender: name):+.4f}" if z.size else "")
        cells.append(f"{sum(z < -CLEAR)}, {sum(z > CLEAR)}" if z.size else "")
        some = "" if len(rows) == len(windows) else f" ({len(rows)} of them)"
        lines.append(f"| {contender}{some} | {' | '.join(cells)} |")
    return lines


def coverage(windows: list[dict[str, Row]]) -> list[str]:
    """Return what intervals held over all windows."""
    known = [rows[CHOSEN]["held"] for rows in windows if rows[CHOSEN]["held"]]
    if not known:
        return []
    inside, promised = (np.mean([row[name] for row in known]) for name in ("inside", "promised"))
    totals = np.mean([row["total"] for row in known])
    return [
        f"80 % intervals of purchases: {totals:.1%} of {len(known)} totals in theirs, "
        f"{inside:.1%} of customers, {promised:.1%} promised, as purchases are whole"
    ]


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
            lines += table(log.name, own)
            windows += own
    below = max(rows[CHOSEN]["below"] for rows in windows)
    by_hindsight = against(windows, best_process)
    return [
        *lines,
        *table("all", windows),
        *coverage(windows),
        f"chosen against the best process by hindsight: {by_hindsight}",
        f"E < 1 - p on at most {below:.1%} of the customers of a window (aim 0)",
        f"chosen against its process: {against(windows, lambda _: RAW)} (aim: worse in 0)",
        f"chosen against the best rival by hindsight: {against(windows, best_rival)}",
        *aims(windows),
    ]


def aims(windows: list[dict[str, Row]]) -> list[str]:
    """Return the three figures that everything is aimed at."""
    behind = leads(windows, best_rival) > CLEAR
    off = np.array([rows[CHOSEN]["ece"] for rows in windows
                    if rows[CHOSEN]["each"].size >= ECE_CUSTOMERS])  # fmt: skip
    totals = np.abs([rows[CHOSEN]["total"] for rows in windows])
    return [
        f"behind the best rival by more than {CLEAR} standard errors: {behind.mean():.1%} of "
        f"{behind.size} windows (aim {BEHIND_AIM:.0%})",
        f"calibration error at most {ECE_AIM}: {np.mean(off <= ECE_AIM):.1%} of {off.size} windows "
        f"of {ECE_CUSTOMERS} customers or more (aim {ECE_SHARE_AIM:.0%})",
        f"mean error of totals of expected purchases: {totals.mean():.1%} (aim {TOTALS_AIM:.0%})",
    ]
