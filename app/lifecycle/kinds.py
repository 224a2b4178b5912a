"""Kinds of interactions as rules and models look at them: their phase, and the scale of scores."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from app.lifecycle.dated import Bools, Floats

PHASES: Final = ("presale", "sale", "aftersale", "none")


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale of a survey; who answers `good_from` or better is satisfied."""

    minimum: float
    maximum: float
    good_from: float

    def share(self, score: Floats) -> Floats:
        """Return scores on [0, 1] of the scale: 0 is the worst; beyond its ends lies nothing."""
        span = self.maximum - self.minimum
        return np.asarray(np.clip((score - self.minimum) / span, 0.0, 1.0), dtype=np.float64)

    def is_good(self, score: Floats) -> Bools:
        return np.asarray(score >= self.good_from, dtype=np.bool_)

    @classmethod
    def read(cls, document: Mapping[str, Any] | None) -> "Scale | None":
        if document is None:
            return None
        return cls(document["min"], document["max"], document["good_from"])

    def as_document(self) -> dict[str, float]:
        return {"min": self.minimum, "max": self.maximum, "good_from": self.good_from}


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of interactions is declared to be; without a scale its scores are no answers."""

    phase: str
    contact: bool
    scale: Scale | None

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Kind":
        return cls(document["phase"], document["contact"], Scale.read(document["scale"]))

    def as_document(self) -> dict[str, Any]:
        scale = None if self.scale is None else self.scale.as_document()
        return {**asdict(self), "scale": scale}


Kinds = Mapping[str, Kind]
"""Declared kinds by their words."""


def read(document: Mapping[str, Any]) -> Kinds:
    """Return the kinds that a policy version or a model holds a copy of."""
    return {word: Kind.read(each) for word, each in document.items()}


def copy_of(kinds: Kinds, words: Iterable[str]) -> dict[str, Any]:
    """Return some of the kinds as the document of which `read` makes them again."""
    return {word: kinds[word].as_document() for word in sorted(words) if word in kinds}


def surveys(kinds: Kinds) -> dict[str, Scale]:
    """Return the kinds whose scores are answers, with their scales, in one order."""
    return {word: kind.scale for word, kind in sorted(kinds.items()) if kind.scale is not None}
