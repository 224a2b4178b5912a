"""Prints what came of files: totals to hold against their source, and what was refused and why."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from app.demo.show import money, table

_KINDS = 10
_OUTCOMES = ("created", "updated", "replaced", "duplicate")
"""What is stored has grown by the first two less the third."""


def proposal(console: Console, file: str, found: Mapping[str, Any]) -> None:
    """Print a proposed mapping, and what remains to be said."""
    by = f"the preset {found['preset']}" if found["preset"] else "the names and values of columns"
    console.print(f"{file}: proposed by {by}, confidence {found['confidence']:.0%}")
    for note in found["layout"]["notes"]:
        console.print(f"  {note}")
    for question in found["questions"]:
        needed = "needed" if question["required"] else f"assumed: {question['assumed']}"
        choices = ", ".join(map(str, question["choices"][:8]))
        console.print(f"  {question['parameter']} ({needed}): {question['text']}"
                      f"{f' [{choices}]' if choices else ''}")  # fmt: skip
    if found["others"]:
        others = ", ".join(f"{each['preset']} {each['confidence']:.0%}" for each in found["others"])
        console.print(f"  or, by --parameter preset=NAME: {others}")
    if found["unrecognised"]:
        console.print(f"  nothing is made of: {', '.join(found['unrecognised'][:20])}")


def totals(console: Console, found: Mapping[str, Any]) -> None:
    """Print what came of a file."""
    told = found["totals"]
    tried = " (tried: nothing is kept)" if found["dry_run"] else ""
    console.print(Text(f"\n{found['file_name']}{tried}", style="bold"))
    left_out = ", ".join(f"{code} {count:,}" for code, count in told["left_out"].items())
    console.print(
        f"  {told['rows']:,} rows: {told['mapped_rows']:,} taken in,"
        f" {told['rejected_rows']:,} refused, {told['left_out_rows']:,} left out"
        f"{f' ({left_out})' if left_out else ''}"
    )
    for kind, counts in told["facts"].items():
        said = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
        console.print(f"  {kind}: {said}")
    for sums in told["money"]:
        code = sums["purchased"]["currency"]
        console.print(f"  {code}: {_sums(sums)}")
        if _has(sums["duplicate"]) or _has(sums["updated"]):
            for name in _OUTCOMES:
                if _has(sums[name]):
                    console.print(f"    {name}: {_sums(sums[name])}")
    if told["first_on"]:
        console.print(f"  from {told['first_on']} to {told['last_on']}")
    _problems(console, "Refused", told["rejections"])
    _problems(console, "Left out of rows", told["warnings"])
    if told["rejected_rows"]:
        console.print(f"  clm export rejected --import {found['id']}  # mend them, send them again")


def _sums(sums: Mapping[str, Any]) -> str:
    return (
        f"{sums['purchases']:,} purchases of {money(sums['purchased']['amount'])},"
        f" {sums['refunds']:,} refunds of {money(sums['refunded']['amount'])}"
    )


def _has(sums: Mapping[str, Any]) -> bool:
    return bool(sums["purchases"] or sums["refunds"])


def _problems(console: Console, title: str, problems: list[Mapping[str, Any]]) -> None:
    if not problems:
        return
    shown = table(title, "Reason", "Column", "First line", "Rows", left=2)
    for each in sorted(problems, key=lambda problem: -problem["count"])[:_KINDS]:
        shown.add_row(
            each["detail"][:60], each["column"] or "", f"{each['first_line']:,}",
            f"{each['count']:,}",
        )  # fmt: skip
    console.print(shown)
