"""All models of purchases and all scorers by name, so that one test and one service know them all.

A model kind is fitted to and built from plain numbers. A scorer turns histories into one number a
customer. More scorers join by `register`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Protocol

from numpy.typing import ArrayLike

from app.scoring.numerics.array_types import FloatArray
from app.scoring.purchases import bg_nbd, cnbd_k, hiatus, mbg_nbd, nbd, pareto_nbd
from app.scoring.purchases.purchase_model import PurchaseModel


class Scorer(Protocol):
    """Turns histories into one number a customer."""

    def __call__(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Return an array of the shape of the histories."""
        ...


@dataclass(frozen=True)
class Kind:
    """A kind of model.

    Attributes
    ----------
    name : str
    has_dropout : bool
        Whether customers leave, so that P(alive) means anything.
    needs_gaps : bool
        Whether `fit` needs ``sum_log_gaps``.
    build : callable
        Parameters by name to a model; the inverse of ``model.params``.
    """

    name: str
    has_dropout: bool
    needs_gaps: bool
    build: Callable[..., PurchaseModel]
    _fit: Callable[..., PurchaseModel]

    def fit(
        self,
        x: ArrayLike,
        t_x: ArrayLike,
        T: ArrayLike,
        *,
        sum_log_gaps: ArrayLike | None = None,
        weights: ArrayLike | None = None,
    ) -> PurchaseModel:
        """Fit a model of this kind; ``sum_log_gaps`` is used where it is needed.

        Parameters, errors: as for `bg_nbd.fit` and `cnbd_k.fit`.

        Raises
        ------
        ValueError
            Also where ``sum_log_gaps`` is needed and missing.
        """
        if not self.needs_gaps:
            return self._fit(x, t_x, T, weights=weights)
        if sum_log_gaps is None:
            message = f"{self.name} needs sum_log_gaps"
            raise ValueError(message)
        return self._fit(x, t_x, T, sum_log_gaps=sum_log_gaps, weights=weights)


def _kind(
    name: str, module: Any, *, has_dropout: bool = True, modified: bool | None = None
) -> Kind:
    more = {} if modified is None else {"modified": modified}
    return Kind(
        name,
        has_dropout,
        modified is not None,
        partial(module.Model.from_params, **more),
        partial(module.fit, **more),
    )


MODELS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            _kind("mbg_nbd", mbg_nbd),
            _kind("bg_nbd", bg_nbd),
            _kind("pareto_nbd", pareto_nbd),
            _kind("mbg_cnbd_k", cnbd_k, modified=True),
            _kind("bg_cnbd_k", cnbd_k, modified=False),
            _kind("nbd", nbd, has_dropout=False),
        )
    }
)


def _hiatus(x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
    del x
    return hiatus.score(t_x, T)


_scorers: dict[str, Scorer] = {"hiatus": _hiatus}
SCORERS: Final[Mapping[str, Scorer]] = MappingProxyType(_scorers)


def register(name: str, scorer: Scorer) -> None:
    """Add a scorer to `SCORERS`.

    Raises
    ------
    ValueError
        If the name is taken.
    """
    if name in _scorers:
        message = f"the scorer {name} exists"
        raise ValueError(message)
    _scorers[name] = scorer
