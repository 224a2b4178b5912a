"""Back-tests of churn risk: what is asked, and what was found."""

from typing import Literal

from pydantic import ConfigDict, Field

from app.schemas.common.fields import AsOfInstant, BacktestKey, CreatedAt, DefaultHorizonDays
from app.schemas.common.shapes import Page
from app.schemas.common.types import Answer, Day, Shape
from app.schemas.models.backtest_folds import Figures, Fold, RiskBands
from app.schemas.models.backtest_parts import BacktestCoverage
from app.schemas.models.models import AsOfText, HorizonDays


class BacktestRequest(Shape):
    """Test churn risk on the past: learnt up to a cut, judged on the horizon after it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"horizon_days": 90, "folds": 2},
                {"horizon_days": 30, "cuts": ["2025-06-30", "2025-10-31"]},
            ]
        }
    )

    as_of: str | None = AsOfText
    horizon_days: HorizonDays | None = Field(
        None,
        description="days ahead that churn risk is of; if absent those of the model in force, or "
        "of the deployment's setting while there is none",
        examples=[90],
    )
    folds: int = Field(
        1,
        ge=1,
        le=6,
        strict=True,
        description="how many cuts, a horizon apart, the last a horizon ago",
    )
    cuts: list[Day] | None = Field(
        None,
        min_length=1,
        max_length=12,
        description="the last days to learn from, in place of `folds`: each at least a horizon "
        "before `as_of`, none twice, in any order",
        examples=[["2025-06-30", "2025-10-31"]],
    )


class BacktestHead(Answer):
    """A back-test by its main figures."""

    backtest_id: BacktestKey
    status: Literal["ok", "insufficient_history"] = Field(
        description="whether there was enough history to test on"
    )
    as_of: AsOfInstant
    horizon_days: DefaultHorizonDays
    folds_asked: int = Field(description="number of cuts that were asked for", examples=[1])
    created_at: CreatedAt
    chosen: Figures | None = Field(
        description="figures of the chosen risk, the mean of the folds; null without any"
    )


class BacktestPage(Page[BacktestHead]):
    """A page of back-tests."""


class Backtest(BacktestHead):
    """What churn risk would have predicted, beside what happened."""

    contenders: dict[str, Figures] = Field(
        description="figures of each contender, the mean of the folds"
    )
    totals_error: dict[str, float] = Field(
        description="mean size, over the cuts, of the errors of totals of purchases, as shares of "
        "what happened, by what told them: served, process, process_in_plain_time",
        examples=[{"served": 0.12, "process": 0.19}],
    )
    coverage: BacktestCoverage | None = Field(
        description="what intervals held; null where nothing could be tested"
    )
    bands: RiskBands | None = Field(description="the levels of churn risk, as of the last fold")
    folds: list[Fold] = Field(description="the cuts, the first one first")
