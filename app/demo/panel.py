"""Prints the truth panel: the fit beside the published one, predictions beside what happened."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.demo import show
from app.demo.truth import PUBLISHED, PUBLISHED_LOG_LIKELIHOOD, WEEKS_AHEAD, Truth


def truth(console: Console, found: Truth) -> None:
    """Print everything."""
    console.print(Text("Truth panel: can the numbers be trusted?", style="bold"))
    console.print(
        "Computed from the CDNOW file itself, all of it: BG/NBD fitted on weeks 1-39 "
        "(up to 1997-09-30),\njudged on weeks 40-78 (up to 1998-06-30), which it has not seen."
    )
    console.print()
    console.print(f"  fitted here  {line(found.fitted, found.log_likelihood)}")
    console.print(f"  published    {line(PUBLISHED, PUBLISHED_LOG_LIKELIHOOD)}")
    verdict = "Equal to the last digit" if found.agrees else "DIFFERENT from the published fit"
    console.print(
        f"  {verdict}. Published: the reference fit of the R package CLVTools;\n"
        "  Fader, Hardie and Lee (2005) print .243, 4.414, .793, 2.426 and -9582.4.",
        style="dim",
    )
    console.print()
    console.print(_deciles(found))
    console.print(
        "The model's tenths are by expected purchases, those of the silence rule by days since\n"
        "the last purchase, shortest first; ties in the order of ids. Purchases are purchase days.",
        style="dim",
    )
    console.print()
    console.print(_comparison(found))
    console.print(_reading(found))
    console.print()


def line(params: dict[str, str], log_likelihood: str) -> str:
    """Return parameters and likelihood, with the digits that are published."""
    names = ", ".join(f"{name} {value}" for name, value in params.items())
    return f"{names}, log-likelihood {log_likelihood}"


def _deciles(found: Truth) -> Table:
    made = show.table(
        "Purchases per customer in weeks 40-78, by tenth of the customers",
        "Tenth", "Customers", "Predicted", "Actual", "Bought", "Silence rule: actual", "Bought",
    )  # fmt: skip
    for place, tenth in enumerate(found.deciles, start=1):
        made.add_row(
            f"{place}{' (best)' if place == 1 else ''}",
            f"{tenth.customers:,}",
            f"{tenth.predicted:.2f}",
            f"{tenth.actual:.2f}",
            f"{tenth.bought:.0%}",
            f"{tenth.actual_by_silence:.2f}",
            f"{tenth.bought_by_silence:.0%}",
        )
    customers = sum(tenth.customers for tenth in found.deciles)
    made.add_section()
    made.add_row(
        "All",
        f"{customers:,}",
        f"{found.predicted / customers:.2f}",
        f"{found.actual / customers:.2f}",
    )
    return made


def _comparison(found: Truth) -> Table:
    made = show.table(
        "Model against plain rules", f"In the next {WEEKS_AHEAD:.0f} weeks", "BG/NBD", "Plain rule"
    )
    made.add_row(
        "Who buys again: AUC of P(buys), against the silence rule",
        f"{found.auc:.3f}",
        f"{found.auc_by_silence:.3f}",
    )
    made.add_row(
        f"All purchases ({found.actual:,} happened), against the old pace going on",
        f"{found.predicted:,.0f} ({found.predicted / found.actual - 1:+.0%})",
        f"{found.predicted_by_pace:,.0f} ({found.predicted_by_pace / found.actual - 1:+.0%})",
    )
    made.add_row(
        "Mean absolute error per customer, against the old pace going on",
        f"{found.mean_error:.3f}",
        f"{found.mean_error_by_pace:.3f}",
    )
    return made


def _reading(found: Truth) -> str:
    """Say in words what the numbers show, whichever way they fall."""
    ranks = "no better than" if found.auc <= found.auc_by_silence else "better than"
    counts = "closer" if found.mean_error < found.mean_error_by_pace else "no closer"
    return (
        f"Read: the model tells who buys again {ranks} the days since the last purchase alone;\n"
        f"its counts, which value rests on, are {counts} than the old pace going on."
    )
