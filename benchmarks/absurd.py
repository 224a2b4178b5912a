"""What is told of populations that are hard to learn from, beside what came of them.

Twelve seeds of buyers who are all alike, and a hundred random populations. `--before FOLDER` asks
another tree the same, and prints both. What is absurd: a log loss above that of the base rate
learnt before the window by more than .02, or a mean off by more than .1 where the base rate did
better. `--populations N` and `--seeds N` ask of fewer.
"""

import argparse
import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from app.scoring.churn import observation
from app.scoring.evaluation import metrics, ranking
from app.scoring.histories.features import Facts
from benchmarks import invented
from benchmarks.invented import Invented
from benchmarks.trees import CHOSEN, RAW, Tree

WORSE, OFF, STEEP = 0.02, 0.1, 8.0


def asked(seeds: int, populations: int) -> Iterator[Invented]:
    for cut in invented.CUTS:
        yield from (invented.alike(seed, cut) for seed in range(seeds))
    yield from (invented.random(number) for number in range(populations))


def judged(one: Invented, found: dict[str, Any]) -> dict[str, Any]:
    """Return what was told against what happened."""
    facts = Facts(**one.facts)
    came = observation.buyers(facts, after=one.cut, until=one.cut + one.horizon)
    left = (~np.isin(found["customer"], came)).astype(float)
    told = {name: found["told"][name] for name in (CHOSEN, RAW, "base_rate")}
    loss = {name: metrics.log_loss_each(p, left) for name, p in told.items()}
    lead = metrics.difference(loss[CHOSEN], loss["base_rate"])
    share = float(left.mean())
    row = {
        "n": left.size, "left": share, "told": float(told[CHOSEN].mean()),
        "loss": float(loss[CHOSEN].mean()), "raw": float(loss[RAW].mean()),
        "base": float(loss["base_rate"].mean()),
        "constant": metrics.log_loss(np.full(left.size, np.clip(share, 1e-9, 1 - 1e-9)), left),
        "auc": ranking.auc(told[CHOSEN], left) if 0 < share < 1 else float("nan"),
        "error": lead.standard_error, "slope": found["slope"], "each": loss[CHOSEN],
    }  # fmt: skip
    return row | {
        "worse": row["loss"] > row["base"] + WORSE,
        "off": abs(row["told"] - share) > OFF and row["loss"] > row["base"],
        "chosen": f"{found['choice']['chosen']}/{found['process']}",
        "status": found["choice"]["status"],
        "guard": found["choice"].get("guard"),
        "seconds": found["seconds"],
    }


def line(one: Invented, row: dict[str, Any], who: str) -> str:
    marks = "".join(
        mark
        for mark, is_so in (("!", row["worse"]), ("?", row["off"]), ("/", row["slope"] > STEEP))
        if is_so
    )
    return (
        f"{one.name:18} {who:7}{one.cut:5}{one.horizon:4}{row['n']:6} "
        f"{row['left']:.3f} {row['told']:.3f} {row['loss']:7.4f} {row['base']:7.4f} "
        f"{row['constant']:7.4f} {row['raw']:7.4f} {row['auc']:.3f} {row['slope']:7.2f} "
        f"{row['chosen']:24} {row['status']:20} {marks}"
    )


def summary(who: str, rows: list[dict[str, Any]]) -> list[str]:
    slopes = np.array([row["slope"] for row in rows])
    lead = np.array([row["loss"] - row["base"] for row in rows])
    off = np.array([abs(row["told"] - row["left"]) for row in rows])
    worse = [row for row in rows if row["worse"]]
    sure = sum(row["loss"] - row["base"] > WORSE + 2 * row["error"] for row in worse)
    steep = f"slopes up to {slopes.max():.1f}, {sum(slopes > STEEP)} above {STEEP:g}"
    return [
        f"{who}: {len(rows)} windows; log loss less the base rate's {lead.mean():+.4f} on "
        f"average, {lead.max():+.4f} at most; told and left "
        f"{off.mean():.3f} apart, {off.max():.3f} at most; {steep}",
        f"{who}: {len(worse)} absurd by log loss ({sure} of them by more than two standard "
        f"errors), {sum(row['off'] for row in rows)} by the mean (aim 0); chosen in "
        f"{np.mean([row['seconds'] for row in rows]):.2f} s",
    ]


def guards(names: list[str], rows: list[dict[str, Any]]) -> list[str]:
    """Return every decision of the guard, and how many there are of a sort."""
    found = [(name, row["guard"]) for name, row in zip(names, rows, strict=True) if row["guard"]]
    lines = [f"guard, {name}: {json.dumps(guard, default=str)}" for name, guard in found]
    sorts = Counter((guard.get("serves"), guard.get("reason")) for _, guard in found)
    told = [f"{serves} ({reason}) {n}" for (serves, reason), n in sorts.most_common()]
    return [*lines, f"guard: {', '.join(told) or 'none'}, of {len(rows)} windows"]


def main(seeds: int, populations: int, before: Path | None) -> None:
    names: list[str] = []
    rows: dict[str, list[dict[str, Any]]] = {"this": []}
    print(
        f"{'population':18} {'tree':7}{'cut':>5}{'  h':>4}{'n':>6}  left  told    loss    base"
        "   const     raw   auc   slope chosen                   status"
        "               ! loss, ? mean, / slope"
    )
    with contextlib.ExitStack() as stack:
        trees = {"this": stack.enter_context(Tree())}
        if before is not None:
            trees["before"], rows["before"] = stack.enter_context(Tree(before)), []
        for one in asked(seeds, populations):
            names.append(one.name)
            for who, tree in trees.items():
                found = tree.ask(one.facts, one.cut, one.horizon, beside=False)
                rows[who].append(judged(one, found))
                print(line(one, rows[who][-1], who), flush=True)
    print("\n".join(guards(names, rows["this"])))
    alike = 2 * seeds
    for part, which in (("alike buyers", slice(alike)), ("random", slice(alike, None))):
        for who, every in rows.items():
            if every[which]:
                print("\n".join(summary(f"{part}, {who}", every[which])))
    if before is not None:
        pairs = list(zip(rows["this"], rows["before"], strict=True))
        gaps = [metrics.difference(ours["each"], theirs["each"]) for ours, theirs in pairs]
        clear = [gap.value / gap.standard_error for gap in gaps if gap.standard_error > 0]
        print(
            f"log loss against before: {np.mean([gap.value for gap in gaps]):+.4f} on average; "
            f"better by two standard errors in {sum(z < -2 for z in clear)} of {len(gaps)} "
            f"windows, worse in {sum(z > 2 for z in clear)}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=invented.SEEDS)
    parser.add_argument("--populations", type=int, default=invented.POPULATIONS)
    parser.add_argument("--before", type=Path, help="folder of another tree")
    asked_for = parser.parse_args()
    main(asked_for.seeds, asked_for.populations, asked_for.before)
