"""How generated examples are drawn in all tests."""

from hypothesis import settings

# What has to be green before anything lands must not depend on luck: the examples are those of
# the code. `make test ARGS="--hypothesis-profile=search"` draws new ones, and more of them.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("repeatable")
