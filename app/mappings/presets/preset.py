"""What a preset is, and what it may be told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from app.mappings.document import FactKind
from app.mappings.presets.header import Header, Said

ParameterType = Literal["text", "zone", "currency", "choice", "list", "boolean", "pairs", "count"]


@dataclass(frozen=True)
class Parameter:
    """What a preset must or may be told."""

    name: str
    type: ParameterType
    question: str
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    column: str | None = None
    """The column whose values are likely answers."""


@dataclass(frozen=True)
class Preset:
    """A layout that is known."""

    name: str
    title: str
    facts: tuple[FactKind, ...]
    needs: tuple[tuple[str, ...], ...]
    """Columns that must be there, each with its other names."""
    build: Callable[[Header, Mapping[str, Any]], Said]
    """Returns the document of the mapping for a file, by the answers to all parameters."""
    parameters: tuple[Parameter, ...] = ()
    typical: tuple[str, ...] = ()
    """Other columns by which it is told from what looks alike."""
    sure: str = ""
    """What of the layout is not known for certain, in words."""
    generic: bool = False
    """Whether it is of nobody's layout: columns are told, or known by their names."""


def zone(default: str | None = None, *, required: bool = True) -> Parameter:
    """Return the parameter of the zone of times without an offset."""
    return Parameter(
        "time_zone",
        "zone",
        "In which time zone are times without an offset, and days?",
        required=required and default is None,
        default=default,
    )


def source(default: str) -> Parameter:
    """Return the parameter of the system that facts name."""
    return Parameter("source", "text", "Which system do the facts come from?", default=default)


def tests(*starts: str) -> Parameter:
    """Return the parameter of how the names of test records begin."""
    return Parameter(
        "test_words",
        "list",
        "How do the names of test records begin, which are to be left out?",
        default=starts,
    )


DECIMAL: Final = Parameter(
    "decimal_sign", "choice", "What is the decimal sign of amounts?", default=".",
    choices=(".", ","),
)  # fmt: skip
PATTERNS: Final = Parameter(
    "date_patterns",
    "list",
    "Which other forms do dates and times have, as of strptime, such as %d/%m/%Y %H:%M?",
    default=(),
)
HOLDS_FROM: Final = Parameter(
    "profiles_hold_from",
    "choice",
    "Since when is a profile true: from the beginning, or from when it was last modified? With "
    "`modified` an older file never replaces what a newer one said.",
    default="beginning",
    choices=("beginning", "modified"),
)
EXTRA: Final = Parameter(
    "attributes",
    "pairs",
    "Which other columns are kept, under which names (name: column)?",
    default={},
)
UNDATED: Final = Parameter(
    "undated_refunds",
    "choice",
    "Refunds have no date in this file: are they left out with a warning, or dated as their order?",
    default="leave_out",
    choices=("leave_out", "at_order"),
)


def extra(answers: Mapping[str, Any]) -> dict[str, Said]:
    """Return the attributes that somebody asked for."""
    return {name: {"column": column} for name, column in answers["attributes"].items()}
