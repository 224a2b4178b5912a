from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.postgres.db import create_engine
from tests.database import *  # noqa: F403  # fixtures are found by name


@pytest.fixture
async def engine(own_url: str, lock_timeout: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a migrated database of this test alone."""
    settings = {"lock_timeout": lock_timeout}
    engine = create_engine(own_url, pool_size=4, server_settings=settings)
    yield engine
    await engine.dispose()
