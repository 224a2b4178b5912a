"""The first fifty of the list of churn risks, beside what those listed bought afterwards.

At cuts of three logs a service is told what happened until then, over HTTP, and asked whom to
call. Beside its own order stand CLV and silence, the longest first; `--before FOLDER` asks the list
of another tree too, whose customers are looked up in ours. Nobody of the fifty should be on time or
lost. `--cuts N` looks at the last N of the four; the folder of the logs as for
`benchmarks.backtest`.
"""

import argparse
import contextlib
import datetime as dt
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import logs
from benchmarks.replay import HORIZON, Replayed, number, service

FIFTY = 50
AFTER = 120
HERE, THERE = "this", "before"
Row = dict[str, Any]


def saved(row: Row) -> float:
    return number(row.get("value_to_save", row.get("value_at_risk")))


def status(row: Row) -> str:
    rhythm = row.get("rhythm")
    return rhythm["status"] if isinstance(rhythm, dict) else str(rhythm)


def last_day(row: Row) -> int:
    return dt.date.fromisoformat(row["last_purchase_on"]).toordinal()


def later(asked: Replayed, until: int) -> dict[str, float]:
    """Return what customers paid after the day that is known, up to another."""
    customer, day, amount = (np.asarray(part) for part in asked.log.facts.log(until))
    paid: dict[str, float] = {}
    for row in np.flatnonzero((day > asked.known) & (day <= until)):
        name = f"c{customer[row]}"
        paid[name] = paid.get(name, 0.0) + float(amount[row])
    return paid


def orders(rows: list[Row]) -> dict[str, list[Row]]:
    return {
        "value_to_save": rows,
        "CLV": sorted(rows, key=lambda row: -number(row["clv"])),
        "silence": sorted(rows, key=lambda row: row["last_purchase_on"]),
    }


def share(rows: list[Row], of: list[Row], paid: dict[str, float]) -> float:
    whole = sum(paid.get(row["customer_id"], 0.0) for row in of)
    return sum(paid.get(row["customer_id"], 0.0) for row in rows) / whole if whole else 0.0


def figures(rows: list[Row], of: list[Row], asked: Replayed, rhythms: dict[str, str]) -> Row:
    """Return what became of some of the customers of a list."""
    soon, ever = (later(asked, until) for until in (asked.known + HORIZON, asked.log.end))
    known = [rhythms.get(row["customer_id"], "none") for row in rows]
    return {
        "n": len(rows),
        "on time": known.count("on_time"),
        "declining": sum(
            rhythm == "on_time" and bool(row.get("call_reasons"))
            for rhythm, row in zip(known, rows, strict=True)
        ),
        "due": known.count("due"),
        "overdue": known.count("overdue"),
        "lost": known.count("lost"),
        "back soon": sum(row["customer_id"] in soon for row in rows),
        "back": sum(row["customer_id"] in ever for row in rows),
        "share soon": share(rows, of, soon),
        "share": share(rows, of, ever),
        "paid": round(sum(ever.get(row["customer_id"], 0.0) for row in rows)),
        "silent": float(np.median([asked.known - last_day(row) for row in rows])),
    }


def reasons(rows: list[Row]) -> str:
    found: dict[str, int] = {}
    for row in rows:
        for reason in row.get("call_reasons") or ["none said"]:
            found[reason] = found.get(reason, 0) + 1
    return ", ".join(f"{name} {n}" for name, n in sorted(found.items(), key=lambda pair: -pair[1]))


def at_cut(asked: dict[str, Replayed], cut: int) -> dict[str, Row]:
    """Return the figures of every order at one cut."""
    for each in asked.values():
        each.until(cut)
    found, ours = {}, asked[HERE]
    everybody = ours.everybody()
    rhythms = {name: status(row) for name, row in everybody.items()}
    print(
        f"{ours.log.name}, {ours.as_of}: {len(everybody)} customers, "
        f"{ours.log.end - cut} days after it"
    )
    for who, each in asked.items():
        rows = each.listed()
        print(f"  {who}: {len(rows)} listed; {reasons(rows)}")
        led = sum(saved(one) < saved(other) for one, other in pairwise(rows))
        assert led == 0, "the list is not in the order that it says"
        for order, of in orders(rows).items():
            name = order if who == HERE else f"{order}, {who}"
            fifty = of[:FIFTY]
            if not fifty:
                continue
            found[name] = figures(fifty, rows, each, rhythms)
            shown = ", ".join(
                f"{key} {value:.3f}" if key.startswith("share") else f"{key} {value:g}"
                for key, value in found[name].items()
            )
            print(f"    {name:22} {shown}", flush=True)
    return found


def summary(cuts: list[dict[str, Row]]) -> list[str]:
    lines = []
    for order in dict.fromkeys(name for cut in cuts for name in cut):
        rows = [cut[order] for cut in cuts if order in cut]
        total = {
            key: sum(row[key] for row in rows)
            for key in ("on time", "declining", "lost", "back soon", "back")
        }
        rhythm = (
            f"{total['on time']} on time (aim 0; {total['declining']} of them decline or "
            f"complained), {total['lost']} lost (aim 0)"
        )
        if not any(row[name] for row in rows for name in ("on time", "due", "overdue", "lost")):
            rhythm = "no rhythm told"
        lines.append(
            f"first fifty by {order}: {rhythm}, back within {HORIZON} days {total['back soon']}, "
            f"back at all {total['back']} of {sum(row['n'] for row in rows)}; of the later "
            f"revenue of those listed "
            f"{np.mean([row['share soon'] for row in rows]):.1%} within {HORIZON} days, "
            f"{np.mean([row['share'] for row in rows]):.1%} to the end, which is "
            f"{sum(row['paid'] for row in rows):,}"
        )
    return lines


def main(folder: str | None, before: Path | None, cuts: int) -> None:
    found = []
    for log in logs.every(logs.folder(folder)):
        with contextlib.ExitStack() as stack:
            asked = {HERE: stack.enter_context(service(log))}
            if before is not None:
                asked[THERE] = stack.enter_context(service(log, before))
            found += [at_cut(asked, cut) for cut in log.cuts(AFTER)[-cuts:]]
    print("\n".join(summary(found)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--before", type=Path, help="folder of another tree")
    parser.add_argument("--cuts", type=int, default=2, choices=range(1, logs.CUTS + 1))
    given = parser.parse_args()
    main(given.folder, given.before, given.cuts)
