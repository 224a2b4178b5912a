from tests.database import *  # noqa: F403  # fixtures are found by name
