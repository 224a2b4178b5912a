"""How long an inactivity a life allows before it ends."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InactivityLimit:
    """Days of silence that end a life: max(floor, min(multiple * gap, gap + margin)).

    `gap` is the customer's own mean gap between the purchase days of the current life;
    with one purchase day in it there is none, and the floor alone holds.
    """

    floor_days: float
    gap_multiple: float
    gap_margin_days: float

    def after(self, span_days: int, purchase_days: int) -> float:
        """Return the limit of a life of `purchase_days` purchase days over `span_days` days."""
        if purchase_days < 2:
            return self.floor_days
        gap = span_days / (purchase_days - 1)
        return max(self.floor_days, min(self.gap_multiple * gap, gap + self.gap_margin_days))
