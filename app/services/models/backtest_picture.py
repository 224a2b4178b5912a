"""A back-test as a picture: churn risk told and seen, and purchases told and made by window."""

from typing import Any, Literal

from app.services.models import svg
from app.services.models.svg import Plane, element, label

Language = Literal["en", "zh"]
WIDTH, HEIGHT = 1040, 592
_RISK = {"left": 76, "top": 84, "width": 340, "height": 340}
_TOTALS = {"left": 600, "top": 84, "width": 410, "height": 340}
_LEGEND, _LEGEND_WIDTH = 556, 480
_GUTTER, _LABEL = 12, 13
_WIDE = 0x2E80  # letters from here on are as wide as high
_STYLE = (
    "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.small{font-size:11px;fill:#555}"
    ".axis{stroke:#333;fill:none}.grid{stroke:#ddd}.even{stroke:#888;stroke-dasharray:4 4}"
    ".earlier{stroke:#9aa7b5;stroke-width:1.2;fill:none}.leader{stroke:#bbb;stroke-width:.7}"
    ".range,.reach{stroke:#b3263b;stroke-width:1.5}.dot{fill:#b3263b}.made{fill:#c9d3de}"
    ".other{fill:#fff;stroke:#1f6feb;stroke-width:1.6}"
)
_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "title": "Back-test: what was told, and what happened in the {days} days after it",
        "risk": "Churn risk at {cut}, {n} customers in tenths",
        "risk_x": "told: chance of no purchase within {days} days",
        "risk_y": "seen: share without a purchase",
        "totals": "Purchases of all customers together, by window",
        "totals_x": "last day that was learnt from, and number n of customers known by then",
        "totals_y": "purchase days within {days} days",
        "even": "told = seen",
        "dot": "a tenth, n customers, with 95 % range",
        "earlier": "earlier cuts",
        "made": "made",
        "served": "told, as served",
        "reach": "told, as served, with 80 % interval",
        "other": "by the model of purchases alone",
        "nothing": "There is too little history to test on.",
        "of_risk": "At {cut}: {rows}.",
        "of_tenth": "told {told:.2f}, seen {seen:.2f} of {n}",
        "of_window": "from {cut}: {served:.0f} purchases told, {made} made by {n} customers",
    },
    "zh": {
        "title": "回测：当时的预测与其后{days}天的实际情况",
        "risk": "{cut}的流失风险，{n}名客户按风险十等分",
        "risk_x": "预测：{days}天内不再购买的概率",
        "risk_y": "实际：未购买的比例",
        "totals": "各窗口全部客户的购买合计",
        "totals_x": "学习截止日，及当日已知客户数n",
        "totals_y": "{days}天内的购买日数",
        "even": "预测＝实际",
        "dot": "十分之一，n名客户，附95%区间",
        "earlier": "更早的截止日",
        "made": "实际",
        "served": "对外提供的预测",
        "reach": "对外提供的预测，附80%区间",
        "other": "仅购买模型",
        "nothing": "历史太短，无法回测。",
        "of_risk": "{cut}：{rows}。",
        "of_tenth": "预测{told:.2f}，{n}名中实际{seen:.2f}",
        "of_window": "{cut}起：预测购买{served:.0f}次，{n}名客户实际购买{made}次",
    },
}


def draw(folds: list[dict[str, Any]], horizon_days: int, language: Language) -> str:
    """Return the cuts of a back-test as SVG."""
    words = {name: text.replace("{days}", str(horizon_days))
             for name, text in _WORDS[language].items()}  # fmt: skip
    tested = [fold for fold in folds if fold.get("calibration")]
    counted = [fold for fold in tested if fold.get("totals")]
    parts = [
        element("title", words["title"], id="t"),
        element("desc", _description(tested, counted, words), id="d"),
        f"<style>{_STYLE}</style>",
        element("rect", width=WIDTH, height=HEIGHT, fill="#fff"),
        label(WIDTH / 2, 30, words["title"], class_="title"),
    ]
    if tested:
        parts += _risk(tested, words)
    else:
        parts.append(label(WIDTH / 2, HEIGHT / 2, words["nothing"]))
    if counted:
        parts += _totals(counted, words)
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" lang="{language}" role="img"'
    return "\n".join([f'{head} aria-labelledby="t d" {size}>', *parts, "</svg>"]) + "\n"


def _description(
    tested: list[dict[str, Any]], counted: list[dict[str, Any]], words: dict[str, str]
) -> str:
    """Return the picture in words, for who does not see it."""
    if not tested:
        return words["nothing"]
    rows = [
        words["of_tenth"].format(told=row["predicted"], seen=row["churned"], n=row["n"])
        for row in tested[-1]["calibration"]
    ]
    rows += [
        words["of_window"].format(
            cut=fold["cut"],
            served=_told(fold)[0]["expected_purchases"],
            made=fold["totals"]["purchases"],
            n=fold["customers"],
        )
        for fold in counted
    ]
    return words["of_risk"].format(cut=tested[-1]["cut"], rows="; ".join(rows))


def _told(fold: dict[str, Any]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = fold["totals"]["told"]
    return told


def _risk(tested: list[dict[str, Any]], words: dict[str, str]) -> list[str]:
    """Return told against seen: the last cut with its ranges, earlier ones as lines."""
    last, plane = tested[-1], Plane(**_RISK)
    parts = []
    for tick in range(6):
        at = tick / 5
        parts += [
            plane.line("grid", (at, 0), (at, 1)),
            plane.line("grid", (0, at), (1, at)),
            label(plane.x(at), plane.bottom + 16, f"{at:.0%}"),
            label(plane.left - 6, plane.y(at) + 4, f"{at:.0%}", "end"),
        ]
    parts.append(plane.line("even", (0, 0), (1, 1)))
    for fold in tested[:-1]:
        points = [(plane.x(row["predicted"]), plane.y(row["churned"]))
                  for row in fold["calibration"]]  # fmt: skip
        parts.append(_polyline("earlier", points))
    title = words["risk"].format(cut=last["cut"], n=f"{last['customers']:,}")
    keys = [("dot", words["dot"]), ("even", words["even"])]
    keys += [("earlier", words["earlier"])] if tested[1:] else []
    return [
        *parts,
        *plane.frame(title, words["risk_x"], words["risk_y"], x_room=38),
        *_tenths(plane, last["calibration"]),
        *_legend(plane.left - 40, keys),
    ]


def _tenths(plane: Plane, rows: list[dict[str, Any]]) -> list[str]:
    """Return the points of a calibration table, each with how many customers it stands for."""
    parts = []
    wanted = [plane.y(row["churned"]) for row in rows]
    places = svg.spread_apart(wanted, _LABEL, plane.top, plane.bottom)
    for row, place in zip(rows, places, strict=True):
        predicted, churned = row["predicted"], row["churned"]
        parts += [
            element("line", class_="leader", x1=plane.x(predicted) + 4, y1=plane.y(churned),
                    x2=plane.right + _GUTTER - 3, y2=place),
            plane.line("range", (predicted, row["lower"]), (predicted, row["upper"])),
            element("circle", class_="dot", cx=plane.x(predicted), cy=plane.y(churned), r=4),
            label(plane.right + _GUTTER, place + 4, f"n {row['n']:,}", "start", class_="small"),
        ]  # fmt: skip
    return parts


def _totals(counted: list[dict[str, Any]], words: dict[str, str]) -> list[str]:
    """Return purchases told and made in the window after each cut."""
    heights = [fold["totals"]["purchases"] for fold in counted]
    heights += [_most(each)
                for fold in counted for each in _told(fold)[:2]]  # fmt: skip
    plane = Plane(**_TOTALS, most_x=len(counted), most_y=svg.nice_top(max(heights)))
    parts = []
    for tick in range(6):
        value = plane.most_y * tick / 5
        parts += [
            plane.line("grid", (0, value), (plane.most_x, value)),
            label(plane.left - 6, plane.y(value) + 4, f"{value:,.10g}", "end"),
        ]
    for place, fold in enumerate(counted):
        parts += _window(plane, place + 0.5, fold)
    served = "reach" if any("interval" in _told(fold)[0] for fold in counted) else "served"
    keys = [("made", words["made"]), ("dot", words[served]), ("other", words["other"])]
    return [
        *parts,
        *plane.frame(words["totals"], words["totals_x"], words["totals_y"], x_room=106),
        *_legend(plane.left, keys),
    ]


def _window(plane: Plane, middle: float, fold: dict[str, Any]) -> list[str]:
    served, process = _told(fold)[:2]
    made, told = fold["totals"]["purchases"], served["expected_purchases"]
    wide, x = plane.width / plane.most_x, plane.x(middle)
    bar = min(wide * 0.6, 60)
    foot = plane.bottom + 14
    parts = [
        element("rect", class_="made", x=x - bar / 2, y=plane.y(made), width=bar,
                height=plane.bottom - plane.y(made)),
        _diamond(x + bar / 4, plane.y(process["expected_purchases"])),
        element("circle", class_="dot", cx=x - bar / 4, cy=plane.y(told), r=4),
        label(x + 4, foot, f"{fold['cut']}, n {fold['customers']:,}", "end", class_="small",
              transform=f"rotate(-35 {x + 4:g} {foot:g})"),
    ]  # fmt: skip
    if ends := served.get("interval"):
        at = x - bar / 4
        parts.append(element("line", class_="reach", x1=at, x2=at, y1=plane.y(ends["low"]),
                             y2=plane.y(ends["high"])))  # fmt: skip
    return parts


def _most(told: dict[str, Any]) -> float:
    """Return how high something that was told reaches."""
    return float(max(told["expected_purchases"], told.get("interval", {}).get("high", 0)))


def _diamond(x: float, y: float) -> str:
    points = f"{x:.1f},{y - 5:.1f} {x + 5:.1f},{y:.1f} {x:.1f},{y + 5:.1f} {x - 5:.1f},{y:.1f}"
    return element("polygon", class_="other", points=points)


def _polyline(kind: str, points: list[tuple[float, float]]) -> str:
    return element("polyline", class_=kind, points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points))


def _legend(left: float, keys: list[tuple[str, str]]) -> list[str]:
    """Return what the marks of a plane mean, in rows."""
    parts, x, y = [], left, float(_LEGEND)
    for kind, text in keys:
        wide = 22 + sum(6.2 if ord(letter) < _WIDE else 12 for letter in text)
        if x + wide > left + _LEGEND_WIDTH:
            x, y = left, y + 20
        if kind == "dot":
            parts.append(element("circle", class_="dot", cx=x + 8, cy=y, r=4))
        elif kind == "other":
            parts.append(_diamond(x + 8, y))
        elif kind == "made":
            parts.append(element("rect", class_="made", x=x, y=y - 6, width=16, height=12))
        else:
            parts.append(element("line", class_=kind, x1=x, x2=x + 16, y1=y, y2=y))
        parts.append(label(x + 22, y + 4, text, "start"))
        x += wide + 16
    return parts
