"""What a process of the API holds from start to end."""

from dataclasses import dataclass

from app.config import Settings
from app.db import Database, ReadSession
from app.deployment import Deployment
from app.services.access import keys
from app.services.common import deployment_settings
from app.services.scores import shared_cards
from app.services.scores.shared_cards import SharedCards
from app.services.stages import shared_stages
from app.services.stages.shared_stages import SharedStages


@dataclass
class State:
    """Settings, database and memory of a process."""

    settings: Settings
    database: Database
    deployment: Deployment
    cursor_secret: bytes
    principals: dict[bytes, tuple[float, keys.Principal]]
    """Who called lately, and until when that holds, by the clock that only goes on."""
    cards: SharedCards
    stages: SharedStages

    @classmethod
    async def begin(cls, settings_: Settings, database: Database) -> "State":
        async with database.reads() as session:
            secret = await deployment_settings.get(
                ReadSession(session), deployment_settings.CURSOR_SECRET
            )
        deployment = Deployment.of(settings_)
        return cls(
            settings_,
            database,
            deployment,
            bytes.fromhex(secret),
            {},
            shared_cards.share(database, deployment),
            shared_stages.share(database, deployment),
        )
