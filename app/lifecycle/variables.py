"""What rules ask for: variables of the catalogue with their parameters."""

from dataclasses import dataclass
from typing import Final

from app.lifecycle.catalogue import CATALOGUE, Variable

AGES: Final = ("tenure_days", "life_tenure_days", "days_silent", "days_since_interaction")
COMPLAINT, SURVEY = "complaint", "survey"
COMPLAINT_DAYS: Final = 90


@dataclass(frozen=True, slots=True)
class Term:
    """A variable with its parameters: `interactions` of which kind, in how many days."""

    name: str
    kind: str | None = None
    days: int | None = None
    attribute: str | None = None

    @property
    def variable(self) -> Variable:
        return CATALOGUE[self.name]

    @property
    def moves(self) -> bool:
        """Whether the value changes with time alone; a count without a window does not."""
        counts_all = self.name == "interactions" and self.days is None
        return self.variable.moves and not counts_all

    @property
    def ages(self) -> bool:
        """Whether it grows by one a day, so that two such keep their distance."""
        return self.name in AGES

    @property
    def key(self) -> str:
        """The name under which evidence and explanations show its value."""
        given = [self.kind, None if self.days is None else f"{self.days} days", self.attribute]
        said = ", ".join(part for part in given if part is not None)
        return f"{self.name}({said})" if said else self.name

    @property
    def window(self) -> tuple[str | None, int | None]:
        """The kind of interaction that is counted (None: any), and in how many days."""
        if self.name == "complaints_90_days":
            return COMPLAINT, COMPLAINT_DAYS
        return self.kind, self.days

    @property
    def kinds(self) -> frozenset[str] | None:
        """The kinds of interactions that the value depends on; None for all of them."""
        if self.name == "last_satisfaction":
            return frozenset((SURVEY,))
        kind, _ = self.window
        return None if kind is None else frozenset((kind,))

    def words(self) -> dict[str, str]:
        """Return what sentences call it, in English and Chinese."""
        en, zh = self.variable.subject
        kind, days, name = self.kind, self.days, self.attribute
        return {
            "en": en.format(
                kind="" if kind is None else f" of kind {kind}",
                days="" if days is None else f" in the last {counted(days, 'days', 'en')}",
                name=repr(name),
            ),
            "zh": zh.format(
                kind="" if kind is None else f"「{kind}」类",
                days="" if days is None else f"近{counted(days, 'days', 'zh')}",
                name=f"「{name}」",
            ),
        }


def counted(number: float, unit: str | None, language: str) -> str:
    """Say a number in full, with its unit if that is days."""
    shown = f"{number:.0f}" if number == int(number) else repr(number)
    if unit != "days":
        return shown
    return f"{shown}天" if language == "zh" else f"{shown} day{'s' * (number != 1)}"
