"""Prints what the service says of its customers."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

RISK_LIMIT = 10
_RISK = " {:<12} {:<8} {:<8} {:<12} {:>13} {:>15} {:>11} {:>11}"


def table(title: str, *columns: str, left: int = 1) -> Table:
    """Return an empty table in the demo's look; all but the first columns are numbers."""
    made = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for place, name in enumerate(columns):
        made.add_column(name, justify="left" if place < left else "right", no_wrap=True)
    return made


def stages(console: Console, report: Mapping[str, Any]) -> None:
    """Print the customers of each stage."""
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


def churn_risks(console: Console, page: Mapping[str, Any]) -> None:
    """Print who is about to leave and what is at stake; below each, why, over the full width."""
    items = page["items"]
    title = f"The {len(items)} customers with most value to save"
    console.print(Text(title, style="bold"))
    why = "Below each: what raises (+) or lowers (-) the log-odds of no purchase"
    console.print(f"{why}\n", style="dim")
    horizon = items[0]["horizon_days"] if items else 90
    for head in (
        ("", "", "Value", "Last", "Days silent", "P(no purchase", "CLV", "Value"),
        (
            "Customer",
            "Stage",
            "tier",
            "purchase",
            "(usual)",
            f"in {horizon} days)",
            "12 months",
            "to save",
        ),
    ):
        console.print(Text(_RISK.format(*head)))
    console.print("\N{BOX DRAWINGS LIGHT HORIZONTAL}" * len(_RISK.format(*[""] * 8)))
    for item in items:
        console.print(Text(_RISK.format(*_risk(item))))
        for reason in item["reasons"]:
            console.print(Text(f"{reason['contribution']:+12.2f}  {reason['text']}", style="dim"))
    console.print()


def _risk(item: Mapping[str, Any]) -> tuple[str, ...]:
    usual = item["usual_gap_days"]
    return (
        item["customer_id"],
        item["stage"],
        item["value_tier"] or "-",
        item["last_purchase_on"],
        f"{item['days_since_last_purchase']} ({'-' if usual is None else f'{usual:.0f}'})",
        f"{item['probability']:.1%}",
        _amount(item["clv"]),
        _amount(item["value_to_save"]),
    )


def _amount(given: Mapping[str, str] | None) -> str:
    return "-" if given is None else money(given["amount"])


def money(amount: str | Decimal | None) -> str:
    """Return an amount as people read it."""
    return "-" if amount is None else f"{Decimal(amount):,.2f}"


def addresses(console: Console, url: str, key: str) -> None:
    """Print where the service is, and a line to paste that works."""
    lines = Table.grid(padding=(0, 2))
    for name, path in (
        ("API documentation", "/docs"),
        ("OpenAPI", "/openapi.json"),
        ("Health", "/livez"),
        ("Metrics", "/metrics"),
    ):
        lines.add_row(name, f"{url}{path}")
    lines.add_row("API key", key)
    console.print(Text("Try it", style="bold"))
    console.print(lines)
    # Never wrapped, so that it can be pasted.
    example = f"curl -H 'Authorization: Bearer {key}' '{url}/v1/churn-risks?limit=3'"
    console.print(Text(example), soft_wrap=True)
