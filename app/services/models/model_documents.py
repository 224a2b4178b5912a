"""What is stored of a fitted model."""

from datetime import date
from typing import Any, ClassVar

from pydantic import Field

from app.services.common.stored_documents import Section, StoredDocument


class FittedProcess(Section):
    """A model of purchases or of spend by its parameters, and how far these are known."""

    kind: str
    status: str
    parameters: dict[str, float]
    standard_errors: dict[str, float | None]
    log_likelihood: float | None


class FittedSpend(FittedProcess):
    customers: int
    correlation: float | None


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


class TierCuts(Section):
    high: float
    medium: float


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

    Cuts, churn risk, bands and hold-out are documents of `app.scoring`, which reads them itself;
    `interaction_kinds` is what was declared when it was learnt. Without anybody who has purchased
    there are no cuts, and nobody to compare with. Of the cuts of RFM those in `rfm_given` came
    from the caller. `rfm_classes` says into how many classes they parted everybody; models of
    before it was counted have none.
    """

    version: ClassVar[int] = 4

    requested: str
    purchases: FittedProcess
    churn: FittedProcess
    holdout: dict[str, Any] | None
    window: Window
    spend: FittedSpend
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
    horizon_rule: str
    bands: dict[str, Any]
    interaction_kinds: dict[str, Any]
    facts: int | None = Field(None, description="stored when it was fitted")
