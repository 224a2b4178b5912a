from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db import create_engine
from tests.database import *  # noqa: F403  # fixtures are found by name


@pytest.fixture
async def engine(own_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a migrated database of this test alone."""
    engine = create_engine(own_url, pool_size=4)
    yield engine
    await engine.dispose()
