"""How all tests are collected, how their examples are drawn, and what is told at the end."""

import gc
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import settings

TESTS = Path(__file__).parent
# Before anything imports numpy: the processes of a run share the processors, each has one.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
# All that is imported and collected stays: to look for garbage in it takes seconds.
gc.disable()

# What helpers assert is to be told as fully as what tests do.
pytest.register_assert_rewrite("tests.simulation")

# What has to be green before anything lands must not depend on luck: the examples are those of
# the code. `make test ARGS="--hypothesis-profile=search"` draws new ones, and more of them.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("repeatable")

# As the service does: by default what tests make is looked at again and again.
COLLECTED_AFTER = 10_000, 20, 50
LONGEST = "test_every_answer_is_what_follows_from_what_was_told"
LONG = frozenset(("cli", "clients", "demo", "embedded", "faults"))
"""Folders whose tests start processes, and wait for them."""


def _place(item: pytest.Item) -> tuple[bool, bool]:
    return item.name != LONGEST, LONG.isdisjoint(item.path.relative_to(TESTS).parts)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests: begun last, all processes but theirs would wait for them."""
    items.sort(key=_place)


def _refuse_shared_names(names: Iterable[str]) -> None:
    """Refuse tests of one name: processes that share out the tests would run one of them."""
    if shared := [name for name, count in Counter(names).items() if count > 1]:
        raise pytest.UsageError(f"several tests have the same name: {', '.join(shared)}")


def pytest_collection_finish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # the process that shares out will see
        _refuse_shared_names(item.nodeid for item in session.items)
    gc.collect()
    gc.freeze()  # no collection need look at it again
    gc.set_threshold(*COLLECTED_AFTER)
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(ids: list[str]) -> None:
    _refuse_shared_names(ids)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the fuzz test did, wherever its parts ran."""
    calls = [
        value
        for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
        for name, value in report.user_properties
        if name == "fuzzed" and report.when == "call"
    ]
    if calls:
        terminalreporter.write_line(f"fuzzed {len(calls)} operations by {sum(calls)} calls")
