"""What each piece of what is learnt brings: the same windows told without it.

Two cuts of each public log for three horizons, and simulated businesses with a season or growth,
whose figures show where a piece matters that those logs have no use for. A piece is left out by a
constant of the code that holds it; everything is learnt anew. A positive lead says that the piece
brings something.
"""

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from app.scoring.evaluation import metrics
from app.scoring.histories.features import Facts
from benchmarks import logs, truth
from benchmarks.trees import CHOSEN, PIECES, Tree
from benchmarks.windows import CLEAR, EPOCH, HORIZONS

ALL = "everything"
Row = dict[str, Any]
Question = tuple[str, dict[str, Any], int, int]


def asked(folder: str | None, customers: int) -> Iterator[Question]:
    """Return log by log the facts, the day that is looked from, and the days ahead."""
    for log in (every.some(customers) for every in logs.every(logs.folder(folder))):
        facts = {name: np.asarray(getattr(log.facts, name))
                 for name in ("customer", "day", "amount")}  # fmt: skip
        facts["day"] = facts["day"] - EPOCH
        for horizon in HORIZONS:
            for cut in log.cuts(horizon)[1::2]:
                yield log.name, facts, cut - EPOCH, horizon
    for one in truth.drawn(1, customers):
        if one.name in ("season", "growth") and one.cut == max(truth.CUTS):
            yield one.name, one.facts, one.cut, one.horizon


def judged(question: Question, tree: Tree) -> Row:
    _, facts, cut, horizon = question
    found = tree.ask(facts, cut, horizon, beside=False)
    log = logs.BusinessLog("", Facts(**facts), cut)
    made = log.purchases(found["customer"], after=cut, until=cut + horizon)
    left = (made == 0).astype(float)
    total = float(found["expected"][CHOSEN].sum() / max(made.sum(), 1) - 1)
    return {"loss": metrics.log_loss_each(found["told"][CHOSEN], left), "total": abs(total)}


def line(piece: str, names: list[str], rows: dict[str, list[tuple[str, Row]]]) -> str:
    """Return by log what log loss and totals without a piece are more than with everything."""
    cells, better, worse = [], 0, 0
    for name in names:
        pairs = [(own, whole) for (log, own), (_, whole) in zip(rows[piece], rows[ALL], strict=True)
                 if log == name]  # fmt: skip
        gaps = [metrics.difference(own["loss"], whole["loss"]) for own, whole in pairs]
        better += sum(gap.value > CLEAR * gap.standard_error > 0 for gap in gaps)
        worse += sum(-gap.value > CLEAR * gap.standard_error > 0 for gap in gaps)
        totals = np.mean([own["total"] - whole["total"] for own, whole in pairs])
        cells.append(f"{np.mean([gap.value for gap in gaps]):+.4f}, {totals:+.3f}")
    return f"| {piece} | {' | '.join(cells)} | {better}, {worse} of {len(rows[ALL])} |"


def main(folder: str | None, customers: int) -> None:
    rows: dict[str, list[tuple[str, Row]]] = {}
    with contextlib.ExitStack() as stack:
        trees = {piece: stack.enter_context(Tree(without=piece)) for piece in PIECES}
        trees = {ALL: stack.enter_context(Tree()), **trees}
        for question in asked(folder, customers):
            for piece, tree in trees.items():
                rows.setdefault(piece, []).append((question[0], judged(question, tree)))
            print(*question[2:], *(f"{piece} {own[-1][1]['loss'].mean():.4f}"
                                   for piece, own in rows.items()), flush=True)  # fmt: skip
    names = list(dict.fromkeys(name for name, _ in rows[ALL]))
    print(f"| without: log loss, totals off | {' | '.join(names)} | brings, costs |")
    print("|---" * (len(names) + 2) + "|")
    print("\n".join(line(piece, names, rows) for piece in PIECES))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--customers", type=int, default=1500, help="of each log, drawn")
    given = parser.parse_args()
    main(given.folder, given.customers)
