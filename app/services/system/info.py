"""What this deployment is."""

from typing import Any

from app.config import VERSION, Settings
from app.postgres.db import ReadSession
from app.schemas.common.shapes import BULK_LIMIT
from app.services.common import deployment_settings as stored


async def get(session: ReadSession, settings: Settings) -> dict[str, Any]:
    """Return version, zone, currency, limits and what is active."""
    active = await stored.pointers(session)
    return {
        "version": VERSION,
        "time_zone": settings.time_zone,
        "currency": settings.currency,
        "policy_version": active.policy_version,
        "model_id": active.model_id,
        "run_id": active.run_id,
        "limits": {
            "bulk_items": BULK_LIMIT,
            "body_bytes": settings.body_limit,
            "requests_in_flight": settings.admission_limit,
        },
    }
