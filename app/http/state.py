"""What a process of the API holds from start to end."""

import asyncio
import contextlib
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings
from app.deployment import Deployment
from app.edge.exports import Exports
from app.edge.recognition import Recognition
from app.postgres.db import Database, ReadSession, WriteSession
from app.services.access.usage import EVERY_SECONDS, Usage
from app.services.common import deployment_settings
from app.services.runs.segments import usage as segments_usage
from app.services.scores import shared_cards
from app.services.scores.shared_cards import SharedCards
from app.services.stages import shared_stages
from app.services.stages.shared_stages import SharedStages
from app.services.system.figures import Watch


@dataclass
class State:
    """Settings, database and memory of a process."""

    settings: Settings
    database: Database
    deployment: Deployment
    cursor_secret: bytes
    recognition: Recognition
    cards: SharedCards
    stages: SharedStages
    exports: Exports
    usage: Usage

    async def tell_usage(self) -> None:
        """Keep writing which keys and segments were used, beside the requests."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.write_usage()

    async def write_usage(self) -> None:
        """Write which keys and segments were used, if the database is there: it is good to know."""
        with contextlib.suppress(SQLAlchemyError, OSError):
            async with self.database.writes() as session, session.begin():
                await self.usage.write(WriteSession(ReadSession(session)))
                await segments_usage.write(WriteSession(ReadSession(session)))

    watch: Watch

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
            Recognition(database),
            shared_cards.share(database, deployment),
            shared_stages.share(database, deployment),
            Exports(settings_.export_slots),
            Usage(),
            Watch(database, settings_),
        )
