r"""The BG/NBD model: Poisson purchases until the customer leaves at one of them.

Assumptions: while alive, a customer buys at a rate :math:`\lambda`; after every *repeat*
purchase he leaves with probability ``p``. Over customers, :math:`\lambda` is Gamma(r, alpha),
``p`` is Beta(a, b), and the two are independent. A customer without a repeat purchase has had
no chance to leave, so P(alive) = 1: use the MBG/NBD unless parity with the literature matters.

The likelihood of ``x`` repeat purchases, the last at ``t_x``, observed for ``T``, is computed as

.. math::

    \log L = \log (r)_x - r \log(1 + T/\alpha) - x \log(\alpha + T)
             + \log \frac{(b)_x}{(a + b)_x} + \log(1 + e^u),

    u = \log \frac{a}{b + x - 1} + (r + x) \log \frac{\alpha + T}{\alpha + t_x}

(:math:`u = -\infty` for ``x = 0``), where rising factorials :math:`(c)_n = c (c+1) \dots (c+n-1)`
replace every gamma and beta function of the published form.

References
----------
Fader, Hardie and Lee (2005), "Counting Your Customers" the Easy Way: An Alternative to the
Pareto/NBD Model, Marketing Science 24(2), 275-284.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numpy.typing import ArrayLike

from app.scoring.purchases.beta_geometric import BetaGeometricModel
from app.scoring.purchases.beta_geometric_fit import fit_beta_geometric


@dataclass(frozen=True, kw_only=True)
class Model(BetaGeometricModel):
    """A BG/NBD: the first chance to leave is the first repeat purchase."""

    first: ClassVar[int] = 0


def fit(x: ArrayLike, t_x: ArrayLike, T: ArrayLike, *, weights: ArrayLike | None = None) -> Model:
    """Fit by maximum likelihood.

    Parameters
    ----------
    x : array_like
        Repeat purchases, whole numbers, shape (n,).
    t_x : array_like
        Time of the last purchase since the first, 0 where ``x`` is 0, shape (n,).
    T : array_like
        Time observed since the first purchase, in the same unit, shape (n,).
    weights : array_like, optional
        How many customers each row stands for, shape (n,).

    Returns
    -------
    Model
        Always, with a status that says how far to trust it.

    Raises
    ------
    ValueError
        If shapes do not fit, or a history is not possible.
    """
    return fit_beta_geometric(Model, x, t_x, T, weights=weights)
