"""Bulks of 1,000 with twenty segments in force beside the same with none, over HTTP, in turns.

Each is a service of its own. Half of the rules look at purchases and money, the others at
interactions, profiles and the stage; some lie inside others. What counts is the median of turns.
"""

import argparse
import contextlib
import os
import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks import ingest
from benchmarks.ingest import PLAIN, Case, Tree, posted

SEGMENTS = 20
ASKED = ("new customers", "in order, 50", "back-dated, 50", "mix", "interactions", "profiles")


def rule(number: int) -> dict[str, Any]:
    """Return rules that some fulfil and others do not."""
    kinds: list[dict[str, Any]] = [
        {"variable": "revenue", "op": ">=", "value": 2_000 + 100 * number},
        {"variable": "purchase_days", "op": ">=", "value": 5 + number},
        {"variable": "days_since_last_purchase", "op": ">", "value": 30 * number},
        {"variable": "frequency_trend", "op": "<", "value": 0.5 + number / 40},
        {"variable": "interactions", "days": 30 + number, "op": "==", "value": 0},
        {"variable": "stage", "op": "in", "value": ["active", "loyal"]},
        {"variable": "industry", "op": "==", "value": f"i{number}"},
        {"variable": "mean_purchase_value", "op": ">", "value": 40 + number},
    ]
    own = kinds[number % len(kinds)]
    other = kinds[(number * 3 + 1) % len(kinds)]
    return own if number % 2 else {"all": [own, {"not": other}]}


def declare(tree: Tree) -> None:
    for number in range(SEGMENTS):
        code = f"segment_{number}"
        body: dict[str, Any] = {"name": {"en": code, "zh": code}, "rule": rule(number)}
        if number > 10:
            body["parent"] = f"segment_{number - 10}"
        tree.client.put(f"/v1/segments/{code}", json=body).raise_for_status()


@contextlib.contextmanager
def filled(history: int) -> Iterator[tuple[Tree, Tree]]:
    with (
        ingest.filled(PLAIN, history, 0, None) as without,
        ingest.filled(PLAIN, history, 0, None) as having,
    ):
        declare(having)
        yield without, having


def measured(trees: tuple[Tree, Tree], case: Case, rounds: int) -> tuple[float, float]:
    """Return the median milliseconds of each."""
    posted(trees[0], case, rounds), posted(trees[1], case, rounds)  # what is learnt at first
    turns = []
    for turn in range(rounds):
        both = [(place, posted(trees[place], case, turn)) for place in (turn % 2, 1 - turn % 2)]
        turns.append(dict(both))
    one, other = (statistics.median(turn[place] for turn in turns) * 1e3 for place in (0, 1))
    return one, other


def main(asked: argparse.Namespace) -> None:
    with filled(asked.history) as trees:
        for case in ingest.cases(asked.history):
            if not case.name.startswith(ASKED) or asked.only not in case.name:
                continue
            without, having = measured(trees, case, asked.rounds)
            told = f"{without:.1f} ms without, {having:.1f} ms with {SEGMENTS} segments"
            told += f", {having / without:.2f} x; load {os.getloadavg()[0]:.1f}"
            print(f"{case.name}: {told}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--history", type=int, default=50, help="facts of each known customer")
    parser.add_argument("--only", default="", help="cases with this in their name")
    main(parser.parse_args())
