"""The purchases of one customer after refunds: what is left of each, and from when on.

A refund that names its purchase is set off against it from the refund's own time on, in whichever
order the two arrive. Once the named refunds reach the amount, the purchase is refunded in full and
makes no purchase day. What exceeds the purchase, or names one not known (yet), is excess. A refund
that names none reduces revenue only.

This is the one place that says what a refund takes back; whatever needs to know asks here. In
SQL the same is said by `app.services.customer_base.net_purchases` alone.
"""

from collections.abc import Hashable, Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple


class Fact(NamedTuple):
    """A purchase (`refunds` is None), or a refund naming a purchase's key, or `FREE`."""

    at: int
    day: int
    value: int
    key: Hashable
    refunds: Hashable | None


FREE = ("",)
"""What a refund names that names no purchase."""


class Reduction(NamedTuple):
    """From an instant on, a refund leaves so much of a purchase: nothing of one in full."""

    at: int
    day: int
    left: int


class Purchase(NamedTuple):
    """A purchase, what refunds leave of it in the end, and each of the steps to that.

    `refunded` is the last step of one that is refunded in full; one of nothing can be, too.
    """

    at: int
    day: int
    value: int
    key: Hashable
    net: int
    refunded: Reduction | None = None
    reductions: tuple[Reduction, ...] = ()


class SetOff(NamedTuple):
    """All purchases up to an instant, and the refunds that take nothing back from any of them."""

    purchases: list[Purchase]
    free: list[Fact]
    excess: int


def set_off(facts: Iterable[Fact], *, until: int) -> SetOff:
    """Set the refunds of a customer off against the purchases, by the facts up to an instant."""
    bought: list[Fact] = []
    free: list[Fact] = []
    named: dict[Hashable, list[Fact]] = {}
    for fact in facts:
        if fact.at > until:
            continue
        if fact.refunds is None:
            bought.append(fact)
        elif fact.refunds == FREE:
            free.append(fact)
        else:
            named.setdefault(fact.refunds, []).append(fact)
    excess = 0
    purchases = []
    for fact in bought:
        refunds = named.pop(fact.key, None)
        if refunds is None:
            purchases.append(Purchase(fact.at, fact.day, fact.value, fact.key, fact.value))
            continue
        excess += max(0, sum(refund.value for refund in refunds) - fact.value)
        steps = _reductions(fact, refunds)
        refunded = steps[-1] if steps[-1].left == 0 else None
        purchases.append(Purchase(*fact[:4], steps[-1].left, refunded, steps))
    excess += sum(refund.value for refunds in named.values() for refund in refunds)
    return SetOff(purchases, free, excess)


def _reductions(purchase: Fact, refunds: Sequence[Fact]) -> tuple[Reduction, ...]:
    """Return what the refunds of a purchase leave of it, up to the one that leaves nothing."""
    found = []
    left = purchase.value
    for refund in sorted(refunds, key=itemgetter(0)):
        left = max(0, left - refund.value)
        # One that came before its purchase takes back nothing until then.
        at, day = max((refund.at, refund.day), (purchase.at, purchase.day))
        found.append(Reduction(at, day, left))
        if left == 0:
            break
    return tuple(found)
