"""The calibration of a back-test as a picture: what was predicted against what happened."""

from html import escape
from typing import Any

SIDE, MARGIN = 320, 48
_STYLE = (
    "text{font:12px sans-serif;fill:#333}.axis{stroke:#333;fill:none}"
    ".grid{stroke:#ddd}.even{stroke:#888;stroke-dasharray:4 4}"
    ".curve{stroke:#1f6feb;stroke-width:2;fill:none}.range{stroke:#d1495b}.dot{fill:#d1495b}"
)


def draw(folds: list[dict[str, Any]], horizon_days: int) -> str:
    """Return the last fold that has a calibration table, as SVG."""
    tested = [fold for fold in folds if fold.get("calibration")]
    fold = tested[-1] if tested else None
    title = f"Calibration of churn risk over {horizon_days} days"
    size = SIDE + 2 * MARGIN
    box = f'viewBox="0 0 {size} {size}" width="{size}" height="{size}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t d" {box}>',
        f'<title id="t">{escape(title)}</title>',
        f'<desc id="d">{escape(_description(fold))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect width="{size}" height="{size}" fill="#fff"/>',
        *_axes(),
        *([] if fold is None else _marks(fold)),
        f'<text x="{size / 2:g}" y="20" text-anchor="middle">{escape(title)}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _description(fold: dict[str, Any] | None) -> str:
    if fold is None:
        return "There is too little history for a calibration table."
    rows = [
        f"predicted {row['predicted']:.2f}, churned {row['churned']:.2f} of {row['n']}"
        for row in fold["calibration"]
    ]
    return f"Tested from {fold['cut']} on {fold['customers']} customers: {'; '.join(rows)}."


def _x(share: float) -> str:
    return f"{MARGIN + SIDE * share:.1f}"


def _y(share: float) -> str:
    return f"{MARGIN + SIDE * (1 - share):.1f}"


def _line(kind: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line class="{kind}" x1="{_x(x1)}" y1="{_y(y1)}" x2="{_x(x2)}" y2="{_y(y2)}"/>'


def _axes() -> list[str]:
    parts = []
    for tick in range(6):
        share = tick / 5
        parts += [
            _line("grid", (share, 0), (share, 1)),
            _line("grid", (0, share), (1, share)),
            f'<text x="{_x(share)}" y="{MARGIN + SIDE + 16}" text-anchor="middle">{share:g}</text>',
            f'<text x="{MARGIN - 6}" y="{_y(share)}" text-anchor="end" dy="4">{share:g}</text>',
        ]
    middle = MARGIN + SIDE / 2
    turned = f'transform="rotate(-90 14 {middle:g})"'
    return [
        *parts,
        f'<rect class="axis" x="{MARGIN}" y="{MARGIN}" width="{SIDE}" height="{SIDE}"/>',
        _line("even", (0, 0), (1, 1)),
        f'<text x="{middle:g}" y="{MARGIN + SIDE + 36}" text-anchor="middle">predicted</text>',
        f'<text x="14" y="{middle:g}" text-anchor="middle" {turned}>churned</text>',
    ]


def _marks(fold: dict[str, Any]) -> list[str]:
    curve = " ".join(f"{_x(point['predicted'])},{_y(point['churned'])}" for point in fold["curve"])
    parts = [f'<polyline class="curve" points="{curve}"/>']
    for row in fold["calibration"]:
        predicted, churned = row["predicted"], row["churned"]
        parts += [
            _line("range", (predicted, row["lower"]), (predicted, row["upper"])),
            f'<circle class="dot" cx="{_x(predicted)}" cy="{_y(churned)}" r="4"/>',
        ]
    return parts
