"""Fields that many answers have, each described once: the words of the API."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from app.schemas.common.types import Timestamp

CustomerKey = Annotated[str, Field(description="id of the customer", examples=["c-1001"])]
CustomerName = Annotated[str, Field(description="name of the customer", examples=["王小明"])]
StageCode = Annotated[str, Field(description="code of a stage of the policy", examples=["active"])]
RuleCode = Annotated[
    str, Field(description="code of a rule of the policy", examples=["repeat_purchase"])
]
PolicyVersion = Annotated[int, Field(description="version of the policy", examples=[1])]
ModelKey = Annotated[str, Field(description="id of the model", examples=["model_5f0c2a9d1b7e4c63"])]
RunKey = Annotated[int, Field(description="number of the scoring run", examples=[7])]
BacktestKey = Annotated[
    str, Field(description="id of the back-test", examples=["backtest_5f0c2a9d1b7e4c63"])
]
AsOfInstant = Annotated[Timestamp, Field(description="the instant that this is true for")]
ComputedAt = Annotated[Timestamp, Field(description="when this was computed")]
CreatedAt = Annotated[Timestamp, Field(description="when it was created")]
OccurredAt = Annotated[Timestamp, Field(description="when it happened")]
ReceivedAt = Annotated[Timestamp, Field(description="when this service was told of it")]
Source = Annotated[str, Field(description="the system the fact came from", examples=["default"])]
Actor = Annotated[
    str, Field(description="id of the API key that did it", examples=["key_3f0c2a9d1b7e4c63"])
]

Days = Annotated[int, Field(description="days", examples=[41])]
HorizonDays = Annotated[
    int,
    Field(description="days ahead that churn risk and expected purchases are of", examples=[90]),
]
DefaultHorizonDays = Annotated[
    int, Field(description="days ahead that churn risk is of by default", examples=[90])
]
PurchaseDays = Annotated[
    int, Field(description="days with a purchase that was not refunded in full", examples=[4])
]
DaysSinceLastPurchase = Annotated[
    int, Field(description="days from the last purchase day to `as_of`", examples=[62])
]
UsualGapDays = Annotated[
    float,
    Field(
        description="the customer's own mean days between purchase days, shrunk to everybody's",
        examples=[21.4],
    ),
]
FirstPurchaseOn = Annotated[date, Field(description="the first purchase day")]
LastPurchaseOn = Annotated[date, Field(description="the last purchase day")]
Level = Annotated[Literal["low", "medium", "high"], Field(description="degree of the churn risk")]
Tier = Annotated[
    Literal["high", "medium", "low"], Field(description="class by the 12-month lifetime value")
]
ChurnProbability = Annotated[
    float,
    Field(
        description="the churn risk: probability, 0 to 1, of no purchase in the next "
        "`horizon_days`",
        examples=[0.31],
    ),
]
PAlive = Annotated[
    float,
    Field(
        description="probability, 0 to 1, that the customer still is one, by the model of "
        "purchases; not the complement of the churn risk",
        examples=[0.87],
    ),
]
RfmScore = Annotated[int, Field(description="1 to 5, of which 5 is best", examples=[4])]
RfmGroupCode = Annotated[
    str,
    Field(
        description="group by R and FM, the mean of F and M rounded down", examples=["champions"]
    ),
]
ReasonCode = Annotated[
    str, Field(description="code of what raises the risk most", examples=["inactivity"])
]
BaseLogOdds = Annotated[
    float, Field(description="log-odds of the reference customer", examples=[-0.42])
]
LogOdds = Annotated[
    float,
    Field(description="log-odds of the customer: the base and all contributions", examples=[0.8]),
]

Share = Annotated[float, Field(description="share, 0 to 1", examples=[0.31])]
PredictedShare = Annotated[
    float, Field(description="mean probability of no purchase, 0 to 1", examples=[0.68])
]
ChurnedShare = Annotated[
    float, Field(description="share that made no purchase, 0 to 1", examples=[0.71])
]
LowerShare = Annotated[
    float, Field(description="lower end of Wilson's interval of that share, 95 %", examples=[0.66])
]
UpperShare = Annotated[
    float, Field(description="upper end of Wilson's interval of that share, 95 %", examples=[0.75])
]
Customers = Annotated[int, Field(description="how many customers", examples=[120])]
LogLoss = Annotated[
    float, Field(description="mean negative log-likelihood of the outcomes", examples=[0.52])
]
Auc = Annotated[
    float,
    Field(
        description="chance that of two customers the one who churned ranks higher",
        examples=[0.74],
    ),
]
AucError = Annotated[float, Field(description="standard error of the AUC", examples=[0.01])]
Brier = Annotated[
    float, Field(description="mean squared error of the probability", examples=[0.17])
]
Ece = Annotated[float, Field(description="expected calibration error, 0 to 1", examples=[0.02])]
BandMeaning = Annotated[
    str,
    Field(
        description="what became of the customers of this band in the back-test",
        examples=["of 100 customers in this band, about 71 make no purchase in the next 90 days"],
    ),
]
