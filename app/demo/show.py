"""Prints what the service says of its customers, and what to do next."""

from collections.abc import Mapping
from decimal import Decimal
from io import TextIOWrapper
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

CALLS = 10
_WIDTH = 100  # without a terminal to ask


def console(out: TextIO) -> Console:
    """Return a console that neither wraps at 80 columns nor fails at a character of no use here."""
    if isinstance(out, TextIOWrapper):
        out.reconfigure(errors="replace")
    width = None if out.isatty() else _WIDTH
    return Console(file=out, width=width, highlight=False, markup=False, emoji=False)


def table(title: str, *columns: str, left: int = 1) -> Table:
    """Return an empty table in the demo's look; all but the first columns are numbers."""
    made = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for place, name in enumerate(columns):
        made.add_column(name, justify="left" if place < left else "right", no_wrap=True)
    return made


def stages(console: Console, report: Mapping[str, Any]) -> None:
    """Print a line for each stage, and one for all of them."""
    currency = report["stages"][0]["revenue"]["currency"]
    titles = "Stage", "", "Customers", f"Revenue {currency}", f"Value to save {currency}"
    shown = table("Customers per stage", *titles, left=2)
    for stage in report["stages"]:
        name = stage["name"]
        amounts = _amount(stage["revenue"]), _amount(stage["value_to_save"])
        shown.add_row(name.get("en", stage["stage"]), name.get("zh", ""),
                      f"{stage['customers']:,}", *amounts)  # fmt: skip
    shown.add_section()
    customers = sum(stage["customers"] for stage in report["stages"])
    sums = [
        sum((Decimal(stage[column]["amount"]) for stage in report["stages"] if stage[column]),
            Decimal(0))
        for column in ("revenue", "value_to_save")
    ]  # fmt: skip
    shown.add_row("All", "", f"{customers:,}", *map(money, sums))
    console.print(shown)
    console.print(
        "Value to save: what silence has cost of the lifetime value, as far as it may be won back.",
        style="dim",
    )
    console.print()


def rfm(console: Console, report: Mapping[str, Any]) -> None:
    """Print the RFM grid and groups, one beside the other."""
    grid = table("RFM grid: customers", "R \\ FM", *(f"FM {fm}" for fm in range(1, 6)))
    for r in range(5, 0, -1):
        grid.add_row(f"R {r}", *(f"{count:,}" for count in report["grid"][r - 1]))
    currency = report["groups"][0]["revenue"]["currency"]
    groups = table("RFM groups", "Group", "Customers", f"Revenue {currency}")
    for group in report["groups"]:
        groups.add_row(group["name"]["en"], f"{group['customers']:,}", _amount(group["revenue"]))
    both = Table.grid(padding=(0, 8))
    both.add_row(grid, groups)
    console.print(both)
    console.print(
        "R: recency, FM: mean of purchase days' and revenue's scores; 5 is best. Equal values score"
        " alike: a score can be empty.",
        style="dim",
    )
    console.print()


def calls(console: Console, page: Mapping[str, Any]) -> None:
    """Print whom to call: each as the service says it in one paragraph."""
    items = page["items"]
    if not items:
        console.print("Nobody is worth a call.\n")
        return
    console.print(Text(f"{len(items)} people worth a call, by value to save", style="bold"))
    for item in items:
        shown = Table.grid(padding=(0, 2))
        shown.add_row(item["customer_id"], item["sentence"]["en"])
        console.print(shown)
    console.print()


def _amount(given: Mapping[str, str] | None) -> str:
    return "-" if given is None else money(given["amount"])


def money(amount: str | Decimal | None) -> str:
    """Return an amount as people read it."""
    return "-" if amount is None else f"{Decimal(amount):,.2f}"


def next_steps(
    console: Console, url: str, key: str, customer_id: str | None, *, proof: bool
) -> None:
    """Print where the service is, and lines to paste that work."""
    console.print(Text("What to do next", style="bold"))
    lines = Table.grid(padding=(0, 2))
    for name, path in (("Read the API", "/docs"), ("See that it is well", "/readyz")):
        lines.add_row(name, f"{url}{path}")
    console.print(lines)
    steps = [("the list to work through", "/v1/churn-risks?limit=3")]
    if customer_id is not None:
        steps.append(("one of them, with reasons", f"/v1/customers/{customer_id}/scores"))
    steps.append(("whether to believe it", "/v1/models"))
    # Never wrapped, so that it can be pasted.
    console.print(Text(f"\nKEY={key}"), soft_wrap=True)
    for what, path in steps:
        command = f"curl -H \"Authorization: Bearer $KEY\" '{url}{path}'"
        console.print(Text(f"{command}  # {what}"), soft_wrap=True)
    if not proof:
        console.print(Text("clm demo --proof  # the RFM grid, and what predictions came to"))
