"""The purchases of one customer after refunds: what is left of each, and from when on.

Refunds are set off in the order of their instants, and of source and id at one instant. One that
names its purchase is set off against that alone, from the later of the two instants on, in
whichever order they arrive. One that names none is set off against the purchases not after it: one
of which just its amount is left, the latest of several, first; what is more than that, against the
latest, then the one before it, and so on. A purchase of which nothing is left is refunded in full
and makes no purchase day. What finds nothing is unallocated: it waits if it names a purchase not
known (yet), else it is excess, and takes nothing back from anything.

All of it follows from facts up to the instants themselves: what is found up to an earlier instant
is the same with or without what came later. It is the one place that says what a refund takes
back; the rows of `refund_allocations` keep it for SQL.
"""

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

Key = tuple[str, str]
"""Source and id of a transaction."""
FREE: Key = ("", "")
"""What a refund names that names no purchase."""
FOR_ALL_TIME = 2**62


class Fact(NamedTuple):
    """A purchase (`refunds` is None), or a refund naming a purchase's key, or `FREE`.

    `value` is `amount` in the deployment's currency; both are in smallest units.
    """

    at: int
    day: int
    value: int
    key: Key
    refunds: Key | None
    amount: int
    currency: str


class Allocation(NamedTuple):
    """A refund takes so much back from a purchase, from an instant on.

    `amount` is in the currency of the purchase, `value` what it is less worth by it.
    """

    refund: Key
    purchase: Key
    at: int
    day: int
    amount: int
    value: int


class Unallocated(NamedTuple):
    """What a refund takes back from nothing, in its own currency and as value.

    It `waits` if the purchase that it names is not known.
    """

    refund: Key
    at: int
    amount: int
    value: int
    waits: bool


class Reduction(NamedTuple):
    """From an instant on, a refund leaves so much of a purchase."""

    at: int
    day: int
    left: int


class Purchase(NamedTuple):
    """A purchase, what refunds leave of its value in the end, and each of the steps to that.

    `refunded` is the last step of one that is refunded in full.
    """

    at: int
    day: int
    value: int
    key: Key
    net: int
    refunded: Reduction | None = None
    reductions: tuple[Reduction, ...] = ()


class SetOff(NamedTuple):
    """All purchases up to an instant, what refunds take back from each, and what from none."""

    purchases: list[Purchase]
    allocations: Sequence[Allocation] = ()
    unallocated: Sequence[Unallocated] = ()


def set_off(facts: Iterable[Fact], *, until: int = FOR_ALL_TIME) -> SetOff:
    """Set the refunds of a customer off against the purchases, by the facts up to an instant."""
    bought: list[Fact] = []
    refunds: list[Fact] = []
    for fact in facts:
        if fact.at <= until:
            (bought if fact.refunds is None else refunds).append(fact)
    if not refunds:
        return SetOff([Purchase(*fact[:4], fact.value) for fact in bought])
    accounts = [_Account(place, fact) for place, fact in enumerate(sorted(bought, key=_order))]
    by_key = {account.purchase.key: account for account in accounts}
    candidates = _Candidates(accounts)
    unallocated = []
    for refund in sorted(refunds, key=_order):
        rest = refund.amount
        named = None if refund.refunds == FREE else by_key.get(refund.refunds or FREE)
        if named is not None:
            rest = named.take(refund, rest)
            candidates.changed(named)
        elif refund.refunds == FREE:
            rest = candidates.take(refund)
        if rest:
            waits = named is None and refund.refunds != FREE
            value = share(refund.value, rest, refund.amount)
            unallocated.append(Unallocated(refund.key, refund.at, rest, value, waits))
    allocations = [made for account in accounts for made in account.allocations]
    return SetOff([account.netted() for account in accounts], allocations, unallocated)


def share(value: int, part: int, whole: int) -> int:
    """Return the part of a value, rounded half to even."""
    quotient, rest = divmod(value * part, whole)
    return quotient + (2 * rest > whole or (2 * rest == whole and quotient % 2 == 1))


def _order(fact: Fact) -> tuple[int, Key]:
    return fact.at, fact.key


class _Account:
    """A purchase, and what is left of it while refunds are set off."""

    __slots__ = ("allocations", "left", "place", "purchase", "reductions")

    def __init__(self, place: int, purchase: Fact) -> None:
        self.place = place
        self.purchase = purchase
        self.left = purchase.amount
        self.allocations: list[Allocation] = []
        self.reductions: list[Reduction] = []

    @property
    def net(self) -> int:
        bought = self.purchase
        return share(bought.value, self.left, bought.amount) if bought.amount else bought.value

    def take(self, refund: Fact, rest: int) -> int:
        """Set what is left of a refund off against what is left here; return what remains."""
        bought = self.purchase
        if refund.currency == bought.currency:
            taken = min(rest, self.left)
            rest -= taken
        else:
            taken, rest = _converted(refund, rest, bought, self.left)
        # A purchase of nothing is taken back by whatever names it.
        if taken or not (bought.amount or self.reductions):
            before = self.net
            self.left -= taken
            # One that came before its purchase takes back nothing until then.
            at, day = max((refund.at, refund.day), (bought.at, bought.day))
            self.reductions.append(Reduction(at, day, self.net))
            value = before - self.net
            self.allocations.append(Allocation(refund.key, bought.key, at, day, taken, value))
        return rest

    def netted(self) -> Purchase:
        steps = tuple(self.reductions)
        refunded = steps[-1] if steps and not self.left else None
        return Purchase(*self.purchase[:4], self.net, refunded, steps)


def _converted(refund: Fact, rest: int, bought: Fact, left: int) -> tuple[int, int]:
    """Return what a refund in another currency takes of a purchase, and what remains of it.

    Both are compared in the currency of the purchase, by way of the deployment's.
    """
    if not (rest and refund.value):
        return 0, rest
    if not bought.value:
        return left, rest
    offered = share(rest * refund.value, bought.amount, refund.amount * bought.value)
    if not offered:  # less than the smallest unit of the purchase's currency
        return 0, rest
    if offered <= left:
        return offered, 0
    spent = share(left * bought.value, refund.amount, bought.amount * refund.value)
    return left, max(0, rest - spent)


class _Candidates:
    """The purchases against which refunds that name none are set off, as time goes on."""

    def __init__(self, accounts: Sequence[_Account]) -> None:
        self._accounts = accounts
        self._known = 0
        self._latest: list[_Account] = []
        # By currency and what is left, the places of purchases as a heap, the latest on top; some
        # of them are out of date.
        self._by_left: dict[tuple[str, int], list[int]] = {}

    def changed(self, account: _Account) -> None:
        """Note that less is left of a purchase."""
        if account.place < self._known:
            self._note(account)

    def take(self, refund: Fact) -> int:
        """Set a refund off against purchases not after it; return what remains."""
        while self._known < len(self._accounts):
            account = self._accounts[self._known]
            if account.purchase.at > refund.at:
                break
            self._known += 1
            self._latest.append(account)
            self._note(account)
        rest = refund.amount
        equal = self._equal(refund)
        if equal is not None:
            return equal.take(refund, rest)
        latest = self._last()
        while rest and latest is not None:
            before = latest.left
            rest = latest.take(refund, rest)
            self._note(latest)
            if latest.left == before:
                break
            latest = self._last()
        return rest

    def _note(self, account: _Account) -> None:
        if account.left:
            key = account.purchase.currency, account.left
            heappush(self._by_left.setdefault(key, []), -account.place)

    def _equal(self, refund: Fact) -> _Account | None:
        places = self._by_left.get((refund.currency, refund.amount), [])
        while places:
            account = self._accounts[-places[0]]
            if account.left == refund.amount:
                return account
            heappop(places)
        return None

    def _last(self) -> _Account | None:
        while self._latest and not self._latest[-1].left:
            self._latest.pop()
        return self._latest[-1] if self._latest else None
