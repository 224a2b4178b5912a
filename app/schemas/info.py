"""What this deployment is."""

from typing import Literal

from pydantic import Field

from app.schemas.common.fields import ModelKey, PolicyVersion, RunKey
from app.schemas.common.types import Answer


class Limits(Answer):
    """What is not admitted."""

    bulk_items: int = Field(description="items of a bulk, at most", examples=[1000])
    body_bytes: int = Field(description="bytes of a body, at most", examples=[10485760])
    requests_in_flight: int = Field(
        description="requests at once in a process, at most", examples=[2000]
    )


class Info(Answer):
    """What this deployment is."""

    service: Literal["clm"] = Field("clm", description="name of this service")
    version: str = Field(description="version of this service", examples=["0.1.0"])
    time_zone: str = Field(
        description="the zone that decides what a day is", examples=["Europe/Berlin"]
    )
    currency: str = Field(
        description="code of ISO 4217 of the currency that sums are in", examples=["EUR"]
    )
    policy_version: PolicyVersion
    model_id: ModelKey | None
    run_id: RunKey | None
    limits: Limits = Field(description="what is not admitted")
