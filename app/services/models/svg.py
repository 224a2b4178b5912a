"""Pieces of a picture (SVG): elements with everything in them escaped, and a plane with axes."""

import math
from dataclasses import dataclass
from html import escape

STEPS = (1, 2, 2.5, 5, 10)


def element(tag: str, text: str | None = None, **attributes: str | float) -> str:
    """Return an element; `_` in the name of an attribute is `-`, and one at its end is nothing."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for name, value in attributes.items()
    )
    return f"<{tag}{given}/>" if text is None else f"<{tag}{given}>{escape(text)}</{tag}>"


def _number(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def label(x: float, y: float, text: str, anchor: str = "middle", **more: str | float) -> str:
    """Return words at a place."""
    return element("text", text, x=x, y=y, text_anchor=anchor, **more)


def nice_top(largest: float) -> float:
    """Return a round number, at least the largest value, that five steps lead to."""
    if not largest > 0:
        return 1.0
    step = largest / 5
    scale = 10.0 ** math.floor(math.log10(step))
    return 5 * scale * next(each for each in STEPS if each * scale >= step * (1 - 1e-9))


@dataclass(frozen=True)
class Plane:
    """A rectangle of the picture in which x runs from 0 to `most_x`, and y from 0 to `most_y`."""

    left: float
    top: float
    width: float
    height: float
    most_x: float = 1.0
    most_y: float = 1.0

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def right(self) -> float:
        return self.left + self.width

    def x(self, value: float) -> float:
        """Return where a value stands from the left of the picture."""
        return self.left + self.width * value / self.most_x

    def y(self, value: float) -> float:
        """Return where a value stands from the top of the picture."""
        return self.bottom - self.height * value / self.most_y

    def line(self, kind: str, start: tuple[float, float], end: tuple[float, float]) -> str:
        """Return a line between two points of the plane."""
        (x1, y1), (x2, y2) = start, end
        return element(
            "line", class_=kind, x1=self.x(x1), y1=self.y(y1), x2=self.x(x2), y2=self.y(y2)
        )

    def frame(self, title: str, x_words: str, y_words: str, *, x_room: float) -> list[str]:
        """Return the border with its title, and words at the axes, x's below some room."""
        middle_x, middle_y = self.left + self.width / 2, self.top + self.height / 2
        turned = f"rotate(-90 {self.left - 52:g} {middle_y:g})"
        return [
            element("rect", class_="axis", x=self.left, y=self.top, width=self.width,
                    height=self.height),
            label(middle_x, self.top - 12, title, class_="title"),
            label(middle_x, self.bottom + x_room, x_words),
            label(self.left - 52, middle_y, y_words, transform=turned),
        ]  # fmt: skip


def spread_apart(places: list[float], least: float, low: float, high: float) -> list[float]:
    """Return places for labels, as near to those wanted as leaves room between them.

    They keep their order and lie between two bounds where there is room for all of them.
    """
    order = sorted(range(len(places)), key=places.__getitem__)
    found = [0.0] * len(places)
    for rank, at in enumerate(order):
        before = low if rank == 0 else found[order[rank - 1]] + least
        found[at] = max(places[at], before)
    for rank, at in enumerate(reversed(order)):
        found[at] = min(found[at], high - rank * least)
    return found
