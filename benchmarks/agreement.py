"""Whether list, stream, card and reasons agree, over HTTP, and what card and run cost.

2,000 random customers of CDNOW are asked for by card, and found in the stream of the run and in
the whole list of churn risks. `--before FOLDER` times cards and runs of another tree in turn with
ours. The folder of the logs is an argument or `CLM_SCORING_DATA`, as for `benchmarks.backtest`.
"""

import argparse
import contextlib
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from app.scoring.churn import churn_selection
from app.scoring.histories.features import features_at
from benchmarks import logs
from benchmarks.logs import BusinessLog
from benchmarks.replay import HORIZON, Replayed, number, service

CUSTOMERS, SEED = 2000, 7
TIMED, ROUNDS, RUNS = 25, 60, 5
ADD_UP, SAME = 1e-9, 1e-12
HERE, THERE = "this", "before"
ALIKE = ("stage", "rhythm", "days_since_last_purchase", "usual_gap_days", "r", "f", "m",
         "rfm_group", "value_tier", "value_to_save", "value_at_risk", "p_alive",
         "expected_purchases", "purchase_days", "revenue", "at_risk")  # fmt: skip


def of_card(card: dict[str, Any]) -> dict[str, Any]:
    """Return a card as a row of a list has it."""
    risk, value = card["churn_risk"], card["clv"]
    row = {name: card[name] for name in ALIKE if name in card}
    row["clv"] = None if value is None else value.get("value")
    expected = card["expected_purchases"]
    row["expected_purchases"] = None if expected is None else expected["value"]
    if risk is not None:
        row |= {name: risk[name] for name in ("probability", "log_odds", "base_log_odds")}
    return row


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        shared = one.keys() & other.keys()
        return bool(shared) and all(same(one[key], other[key]) for key in shared)
    if isinstance(one, float) or isinstance(other, float):
        return math.isclose(float(one), float(other), rel_tol=SAME, abs_tol=SAME)
    return bool(one == other)


def differences(card: dict[str, Any], row: dict[str, Any]) -> list[str]:
    own = of_card(card)
    return [
        name
        for name in own.keys() & row.keys()
        if not (own[name] is row[name] or (None not in (own[name], row[name])
                                           and same(own[name], row[name])))
    ]  # fmt: skip


def contradictions(card: dict[str, Any]) -> list[str]:
    """Return what one card says against itself."""
    risk, found = card["churn_risk"], []
    if risk is None:
        return []
    p = risk["probability"]
    if card["expected_purchases"]["value"] < (1 - p) * (1 - SAME) - SAME:
        found.append("E < 1 - p")
    total = risk["base_log_odds"] + sum(reason["contribution"] for reason in risk["reasons"])
    if abs(total - risk["log_odds"]) > ADD_UP:
        found.append("reasons do not add up")
    if abs(1 / (1 + math.exp(-max(risk["log_odds"], -700))) - p) > ADD_UP:
        found.append("log-odds are of another probability")
    if number(card.get("value_to_save")) > 0 and not card["clv"]:
        found.append("value to save without a CLV")
    return found


def agreement(asked: Replayed) -> list[str]:
    everybody = asked.everybody()
    listed = {row["customer_id"]: row for row in whole_list(asked)}
    drawn = np.random.default_rng(SEED).permutation(sorted(everybody))[:CUSTOMERS]
    wrong: Counter[str] = Counter()
    compared: Counter[str] = Counter()
    missing = 0
    for name in drawn.tolist():
        card = asked.get(f"/v1/customers/{name}/scores", as_of=asked.as_of)
        wrong.update(contradictions(card))
        for where, rows in (("stream", everybody), ("list", listed)):
            if name not in rows:
                missing += 1
                continue
            compared.update(of_card(card).keys() & rows[name].keys())
            wrong.update(f"{where}: {key}" for key in differences(card, rows[name]))
    print("compared: " + ", ".join(f"{key} {n}" for key, n in sorted(compared.items())))
    for what, n in wrong.most_common():
        print(f"contradicted: {what}: {n}")
    return [
        f"{len(drawn)} random customers: {wrong['E < 1 - p']} cards with E < 1 - p (aim 0), "
        f"{wrong['reasons do not add up']} whose reasons do not add up to {ADD_UP:g} (aim 0), "
        f"{sum(n for key, n in wrong.items() if ':' in key)} fields that list and card tell "
        f"otherwise (aim 0), {missing} not found in stream or list"
    ]


def whole_list(asked: Replayed) -> list[dict[str, Any]]:
    """Return the list with everybody on it; trees of before it had `include` left some out."""
    known = asked.client.get("/v1/churn-risks", params={"include": "all", "limit": 1}).is_success
    return asked.listed(**({"include": "all"} if known else {"include_churned": "true"}))


def causes(log: BusinessLog, cut: int) -> list[str]:
    """Return for how many customers the risk does not fall where its top cause is taken away."""
    _, features = features_at(log.facts, as_of=cut)
    risk = churn_selection.choose(log.facts, as_of=cut, horizon=HORIZON).risk
    found = risk.reasons(features, horizon=HORIZON)
    parts = np.array(list(found.parts.values()))
    off = np.abs(found.base + parts.sum(axis=0) - found.total).max()
    top, most = parts.argmax(axis=0), parts.max(axis=0)
    raised = wrong = 0
    for code, cause in enumerate(found.parts):
        rows = np.flatnonzero((top == code) & (most > 0))
        raised += rows.size
        without = risk.without(features.take(rows), cause, horizon=HORIZON)
        wrong += int((without >= found.total[rows]).sum())
    return [
        f"reasons of {len(features)} customers add up to {off:.1e} (aim {ADD_UP:g}); without the "
        f"top cause the risk of {wrong} of {raised} does not fall (aim 0)"
    ]


def turns(what: Callable[[Replayed, int], object], asked: tuple[Replayed, ...], n: int) -> str:
    """Do the same with two services in turn; tell milliseconds, and seconds of the processor."""
    times: list[list[float]] = [[] for _ in asked]
    spent = [0.0 for _ in asked]
    for turn in range(n):
        for who in (0, 1) if turn % 2 else (1, 0):  # nobody is always the first
            begun, started = asked[who].cpu(), time.perf_counter()
            what(asked[who], turn)
            times[who].append(time.perf_counter() - started)
            spent[who] += asked[who].cpu() - begun
    mine, other = (statistics.median(each) * 1000 for each in times)
    ratio = statistics.median(a / b for a, b in zip(*times, strict=True))
    return (
        f"{mine:.1f} ms, before {other:.1f} ms: {ratio:.3f} x; processor {spent[0] / spent[1]:.3f} "
        "x (aim 1.1)"
    )


def costs(ours: Replayed, theirs: Replayed) -> list[str]:
    names = np.random.default_rng(SEED).permutation(sorted(ours.everybody())).tolist()

    def cards(asked: Replayed, turn: int) -> None:
        for at in range(turn * TIMED, turn * TIMED + TIMED):
            asked.get(f"/v1/customers/{names[at % len(names)]}/scores")

    both = ours, theirs
    for asked in both:
        cards(asked, 0)  # what is loaded once is loaded
    return [
        f"{TIMED} cards: {turns(cards, both, ROUNDS)}",
        f"a run: {turns(lambda asked, _: asked.run(), both, RUNS)}",
    ]


def main(folder: str | None, before: Path | None) -> None:
    log = logs.cdnow(logs.folder(folder))
    cut = log.cuts(HORIZON)[2]
    lines = causes(log, cut)
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(service(log))
        ours.until(cut)
        lines += agreement(ours)
        if before is not None:
            theirs = stack.enter_context(service(log, before))
            theirs.until(cut)
            lines += costs(ours, theirs)
    print("\n".join(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--before", type=Path, help="folder of another tree")
    given = parser.parse_args()
    main(given.folder, given.before)
