"""What every run of the tests refuses before it begins."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[1] / "conftest.py"
ONE_NAME_FOR_ALL = """

def pytest_pycollect_makeitem(collector, name, obj):
    if name == "test_parametrised":
        return [pytest.Function.from_parent(collector, name=name) for _ in range(3)]
"""


@pytest.mark.parametrize("processes", [0, 1])
def test_tests_of_one_name_are_refused_as_all_but_one_would_be_lost(
    pytester: pytest.Pytester, processes: int
) -> None:
    pytester.makepyfile("def test_parametrised(): pass")
    pytester.makeconftest(CONFTEST.read_text() + ONE_NAME_FOR_ALL)
    done = pytester.runpytest_subprocess("-n", str(processes))
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines("*several tests have the same name: *::test_parametrised")
