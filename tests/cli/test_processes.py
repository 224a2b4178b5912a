"""`clm serve --processes N`: several processes of the API on one port."""

import os
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cli import test_cli
from tests.cli.test_cli import PATIENCE, Serving, clm, lives, tree_of, until
from tests.service import free_port
from tests.unit.test_config import OF_KUBERNETES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
POOL = "clm_pool_connections"
made, begun = test_cli.made, test_cli.begun  # fixtures


@pytest.fixture
def several(made: Path, begun: list[Serving]) -> Serving:
    """Two processes with a worker on their embedded database, ready: those of the test before.

    They run in a Kubernetes that has a service of their name, told neither zone nor currency.
    """
    if not begun or begun[-1].process.poll() is not None:
        changes = {"CLM_ADMIN_PORT": str(free_port()), "CLM_TIME_ZONE": "", "CLM_CURRENCY": ""}
        changes |= {"CLM_DATA_DIR": str(made / "data")}
        begun.append(Serving(made, "--processes", "2", **OF_KUBERNETES | changes))
    found = begun[-1]
    until(lambda: found.is_ready() and counted(found, POOL, state="size") == 24)
    return found


def apis(serving: Serving) -> set[int]:
    return {pid for pid, each in tree_of(serving).items() if "--listening" in each}


def counted(serving: Serving, name: str, **labels: str) -> float:
    page = serving.get(f"http://127.0.0.1:{serving.admin_port}/metrics")
    assert page is not None
    return sum(
        sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_a_process_that_is_killed_comes_back_and_what_it_counted_stays(several: Serving) -> None:
    asked = {"name": "clm_http_requests_total", "route": "unmatched", "status": "404"}

    def ask(times: int) -> None:
        for _ in range(times):  # each on a connection of its own: none may wait for the dead
            url = f"http://127.0.0.1:{several.port}/nothing"
            assert httpx.get(url, trust_env=False, timeout=5).status_code == 404

    assert len([each for each in tree_of(several).values() if "clm_service worker" in each]) == 1
    moved = several.get("/metrics")
    assert moved is not None
    assert moved.status_code == 404
    before = counted(several, **asked)
    ask(40)
    assert counted(several, **asked) == before + 40
    victim = min(apis(several))
    os.kill(victim, signal.SIGKILL)
    ask(20)
    assert counted(several, **asked) == before + 60
    until(lambda: len(apis(several) - {victim}) == 2)
    until(lambda: counted(several, POOL, state="size") == 24)
    assert any("is started again" in each["message"] for each in several.lines())


def test_several_processes_end_together_and_the_database_last(several: Serving) -> None:
    below = tree_of(several)
    assert len(apis(several)) == 2
    several.process.send_signal(signal.SIGTERM)
    assert several.process.wait(PATIENCE) == 0, several.log.read_text()
    assert not [each for pid, each in below.items() if lives(pid)]
    log = several.log.read_text()
    assert "Traceback" not in log
    assert "database away" not in log


def test_none_of_several_processes_outlives_the_one_that_keeps_them(several: Serving) -> None:
    below = tree_of(several)
    several.process.kill()
    several.process.wait()
    until(lambda: not [each for pid, each in below.items() if lives(pid)])


def test_several_processes_are_told_of_a_port_in_use_and_of_too_few_connections(
    own_url: str,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = clm("serve", "--port", port, "--processes", "2",
                   CLM_DATABASE_URL=own_url, CLM_POOL_SIZE="60")  # fmt: skip
    assert done.returncode == 1
    short, in_use = done.stderr.splitlines()
    assert "may take 123 connections, the database allows 97" in short
    assert in_use.startswith(f"clm: cannot listen on 127.0.0.1 port {port}: Address already in use")
