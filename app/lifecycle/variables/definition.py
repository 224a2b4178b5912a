"""What a variable is, and a term of a rule: a variable with the parameters that the rule gives."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Literal

from app.lifecycle.dated import Column
from app.lifecycle.kinds import Kinds, Scale
from app.lifecycle.profiles import ATTRIBUTES, attribute
from app.lifecycle.records import Inputs
from app.lifecycle.variables.parameters import PARAMETERS

Type = Literal["number", "text", "boolean", "level", "any"]
Source = Literal[
    "purchases", "money", "transactions", "interactions", "answers", "profile", "model", "stage",
    "scores", "segments",
]  # fmt: skip
"""What has to be read: purchase days, sums of money, the purchases themselves, and so on."""
Texts = tuple[str, str]
"""In English and Chinese."""


class Turning(Enum):
    """How a value may change with time alone, while no fact arrives."""

    STILL = auto()
    GROWS = auto()
    FALLS = auto()
    AGES = auto()
    """Grows by one a day, so that two such keep their distance."""


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """One row of the registry.

    `meaning` defines it; `subject` is what sentences call it, with the places of its parameters.
    No value lies outside `minimum` and `maximum`, or besides `values` or `levels` (in ascending
    order), where these are given; a text fits `pattern`, of which `pattern_said` tells.
    `turning` is what makes the day of a transition findable: a variable that only grows or only
    falls until the next fact passes each threshold once. One with a window turns only if the
    window is given. With parameters a variable may be computed by another row, `narrowed`.
    """

    name: str
    type: Type
    unit: str | None
    source: Source
    meaning: Texts
    subject: Texts
    function: Callable[[Inputs, "Term"], Column]
    turning: Turning = Turning.STILL
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] | None = None
    levels: tuple[str, ...] | None = None
    pattern: re.Pattern[str] | None = None
    pattern_said: str = ""
    whole: bool = False
    always_known: bool = False
    parameters: tuple[str, ...] = ()
    needs: tuple[Source, ...] = ()
    """What has to be read, where that is not the source alone."""
    columns: tuple[str, ...] = ()
    """The fields of the profile that it is computed from."""
    kinds: tuple[str, ...] | None = None
    """The kinds of interactions that it is computed from, where none are declared to be."""
    of_surveys: bool = False
    """Whether it is computed from the kinds that are declared with a scale."""
    alias_of: "Term | None" = None
    """What it is another name of: evidence and sentences say that one."""
    narrowed: "Variable | None" = None
    """What computes it where parameters are given."""
    of_lists: bool = False
    """Whether it is for lists and queries alone: time may turn it more than once."""
    lies_between: bool = True
    """Whether at any instant of a day of purchases without refunds, once the first is made, it lies
    between what it would be if they were all of nothing and what it is at the end of the day."""

    @property
    def accepts(self) -> tuple[str, ...]:
        """The parameters that a rule may give."""
        return self.parameters if self.narrowed is None else self.narrowed.parameters

    @property
    def choices(self) -> tuple[str, ...] | None:
        """All texts that there are, if they can be listed."""
        return self.levels or self.values

    @property
    def in_stage_policies(self) -> bool:
        """Whether what decides a stage may look at it."""
        return self.source not in ("stage", "scores", "segments") and not self.of_lists


@dataclass(frozen=True, slots=True, repr=False)
class Term:
    """A variable with its parameters: `interactions` of which kind, in how many days."""

    variable: Variable
    given: tuple[tuple[str, Any], ...] = ()
    declared: tuple[tuple[str, Scale | None], ...] | None = None
    """The kinds that count by what is declared of them, with their scales; None: as it says."""

    @classmethod
    def of(cls, variable: Variable, given: Mapping[str, Any] | None = None) -> "Term":
        """Return the term that a rule names; parameters that it does not give are absent."""
        if variable.alias_of is not None:
            return variable.alias_of
        if not given:
            return cls(variable)
        variable = variable.narrowed or variable
        return cls(variable, tuple((n, given[n]) for n in variable.parameters if n in given))

    def under(self, kinds: Kinds | None) -> "Term":
        """Return the term as it is by what is declared of kinds; None: nothing yet was."""
        asked, phase = self.parameter("kind"), self.parameter("phase")
        if kinds is None or not (self.variable.of_surveys or phase):
            return self
        declared = [
            (word, kind.scale)
            for word, kind in sorted(kinds.items())
            if asked in (None, word) and phase in (None, kind.phase)
            if not self.variable.of_surveys or kind.scale is not None
        ]
        return replace(self, declared=tuple(declared))

    @property
    def name(self) -> str:
        return self.variable.name

    def parameter(self, name: str) -> Any:
        """Return a parameter, or None if it was not given."""
        return dict(self.given).get(name)

    @property
    def days(self) -> int | None:
        """The length of the window, if there is one."""
        found: int | None = self.parameter("days")
        return found

    @property
    def kinds(self) -> frozenset[str] | None:
        """The kinds of interactions that the value depends on; None for all of them."""
        if self.declared is not None:
            return frozenset(word for word, _ in self.declared)
        kind = self.parameter("kind")
        kinds = self.variable.kinds if kind is None else (kind,)
        return None if kinds is None else frozenset(kinds)

    @property
    def cells(self) -> frozenset[str]:
        """The cells of the profile that the value depends on."""
        return frozenset(
            attribute(self.parameter("name")) if column == ATTRIBUTES else column
            for column in self.variable.columns
        )

    @property
    def needs(self) -> frozenset[Source]:
        """What has to be read."""
        return frozenset(self.variable.needs or (self.variable.source,))

    @property
    def turning(self) -> Turning:
        counts_all = "days" in self.variable.parameters and self.days is None
        return Turning.STILL if counts_all else self.variable.turning

    @property
    def key(self) -> str:
        """The name under which evidence and explanations show its value."""
        said = ", ".join(PARAMETERS[name].shown(value) for name, value in self.given)
        return f"{self.name}({said})" if said else self.name

    def __repr__(self) -> str:
        return self.key

    def compute(self, inputs: Inputs) -> Column:
        """Return the values of records, each on its day."""
        return self.variable.function(inputs, self)

    def words(self) -> dict[str, str]:
        """Return what sentences call it, in English and Chinese."""
        en, zh = self.variable.subject
        said = {
            name: PARAMETERS[name].phrases(self.parameter(name))
            for name in self.variable.parameters
        }
        return {
            "en": en.format(**{name: phrase[0] for name, phrase in said.items()}),
            "zh": zh.format(**{name: phrase[1] for name, phrase in said.items()}),
        }

    def title(self) -> dict[str, str]:
        """Return what headings call it."""
        plain = {language: said.removeprefix("the ") for language, said in self.words().items()}
        return {language: said[:1].upper() + said[1:] for language, said in plain.items()}
