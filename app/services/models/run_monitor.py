"""What is stored with a run of how well its model told what then happened."""

from datetime import datetime

from app.services.common.stored_documents import StoredDocument


class RunMonitor(StoredDocument):
    """What a model told a horizon before a run, beside what happened since."""

    status: str
    told_at: datetime
    horizon_days: int
    in_sample: bool
    customers: int
    expected: float | None = None
    actual: float | None = None
    calibration_in_the_large: float | None = None
    standard_error: float | None = None
    ece: float | None = None
    drifted: bool
