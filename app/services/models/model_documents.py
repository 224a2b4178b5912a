"""What is stored of a fitted model."""

from datetime import date
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from app.services.common.stored_documents import Section, StoredDocument
from app.services.models import horizons

MARGIN: Final = "margin"
REVENUE: Final = "revenue"


class ClvTerms(Section):
    """Over how many days lifetime value is counted, discounted at which yearly rate, and of what.

    Of revenue, or of margin: revenue times the margin rate of the customer.
    """

    horizon_days: int = 365
    annual_discount: float = 0.10
    basis: Literal["revenue", "margin"] = "revenue"


class MarginRates(Section):
    """The margin rate of all, and the revenue at which a customer's own counts half.

    Without such a revenue everybody has the rate of all.
    """

    rate: float
    prior_revenue: float | None
    customers: int


class SpendComparison(Section):
    """How well all purchases, and repeat ones alone, foretold the values of later ones."""

    basis: str
    holdout_days: int
    customers: int
    deviance_all: float | None
    deviance_repeat: float | None
    behind: float | None
    behind_error: float | None


class FittedProcess(Section):
    """A model of purchases or of spend by its parameters, and how far these are known."""

    kind: str
    status: str
    parameters: dict[str, float]
    standard_errors: dict[str, float | None]
    log_likelihood: float | None


class FittedSpend(FittedProcess):
    """Models of before evidence was compared looked at repeat purchases, and have no comparison."""

    customers: int
    correlation: float | None
    evidence: Literal["all_purchases", "repeat_purchases"]
    comparison: SpendComparison | None


class Window(Section):
    """The purchases that were seen."""

    first_purchase_on: date | None
    last_purchase_on: date | None
    repeaters: int


class ReferenceCustomer(Section):
    """The customer with whom reasons compare, in days."""

    x: float
    t_x: float
    T: float

    @property
    def triple(self) -> tuple[float, float, float]:
        return self.x, self.t_x, self.T


class MonthOfYear(Section):
    """How fast customers buy in a month over the mean, what it might be, and how often seen."""

    factor: float
    low: float
    high: float
    years: int


class TierCuts(Section):
    high: float
    medium: float


class FittedSeason(Section):
    """The season that purchases are counted in; `months` are None where none were looked at.

    With a season `plain` is the model of purchases in plain time, for rules and for histories
    without dates, and `tier_cuts` part the values that rules see; without one, or in models of
    before they were learnt, those of everybody do.
    """

    status: Literal["seasonal", "no_season", "too_little_history"]
    history_days: int
    support: float | None
    months: list[MonthOfYear] | None
    plain: FittedProcess | None
    tier_cuts: TierCuts | None = None


class BetweenWindows(Section):
    """By how much totals of windows of the past were off, as the standard deviation of a logarithm.

    Of no windows it is what is usual.
    """

    sd: float
    windows: int


class RiskChoice(Section):
    """How the churn risk that serves was chosen; `table` has a row for each candidate.

    Models of before there was a guard have none.
    """

    chosen: str | None
    status: str
    reason: str
    note: str
    horizon: int
    holdout: int
    label_window: int
    extrapolated: bool
    table: list[dict[str, Any]]
    guard: dict[str, Any] | None = None


class ModelDocument(StoredDocument):
    """Everything learnt at one `as_of`.

    Cuts, churn risk, bands, hold-out, rhythm and regularity are documents of `app.scoring`, which
    reads them itself; models of before there was rhythm have neither of the last two,
    nor those of before there were seasons one of these, nor, of before there were intervals, what
    these have to hold (`between_windows`).
    `interaction_kinds` is what was declared when it was learnt. Without anybody who has purchased
    there are no cuts, and nobody to compare with. Of the cuts of RFM those in `rfm_given` came
    from the caller. `rfm_classes` says into how many classes they parted everybody; models of
    before it was counted have none.
    """

    version: ClassVar[int] = 7
    reads: ClassVar[tuple[int, ...]] = (4, 5, 6)

    requested: str
    purchases: FittedProcess
    churn: FittedProcess
    holdout: dict[str, Any] | None
    window: Window
    spend: FittedSpend
    clv: ClvTerms
    margins: MarginRates | None
    population_gap_days: float | None
    reference_customer: ReferenceCustomer | None
    rfm_cuts: dict[str, Any] | None
    rfm_means: dict[str, Any] | None
    rfm_given: dict[str, list[float]]
    rfm_classes: dict[str, int] | None
    tier_cuts: TierCuts | None
    risk: dict[str, Any] | None
    risk_choice: RiskChoice
    horizon_days: int
    horizon_rule: horizons.Rule
    suggested_horizon_days: int | None
    bands: dict[str, Any]
    interaction_kinds: dict[str, Any]
    rhythm: dict[str, Any] | None = None
    regularity: dict[str, float] | None = None
    season: FittedSeason | None = None
    between_windows: BetweenWindows | None = None
    facts: int | None = Field(None, description="stored when it was fitted")
    refit: str | None = Field(None, description="why it was fitted of its own accord")
