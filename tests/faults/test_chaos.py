"""One seed of the long fault run, brief: `make faults` runs many, with long faults."""

import re
import subprocess
import sys
from pathlib import Path

from tests.faults.chaos import schedule, seeds

SEED, STEPS = 11, 4
COMMAND = [sys.executable, "-m", "tests.faults.chaos", "--brief", "--ready-seconds", "60"]


def test_what_is_done_follows_from_the_seed_and_leaves_nothing_out() -> None:
    first, again, other = (schedule.draw(seed, 40) for seed in (1, 1, 2))
    assert first == again != other
    assert {fault.kind for step in first.steps for fault in step} == set(schedule.KINDS)
    kinds = [f.kind for step in schedule.draw(SEED, STEPS, brief=True).steps for f in step]
    assert len(set(seeds.KILLS) & set(kinds)) == 3, kinds


def test_a_deployment_that_is_broken_keeps_its_promise(prepared: Path) -> None:
    run = subprocess.run(
        [*COMMAND, "--seed", str(SEED), "--steps", str(STEPS), "--prepared", str(prepared)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    last = run.stdout.splitlines()[-1]
    assert re.fullmatch(
        rf"faults: 1 seeds, 0 failing; {STEPS} steps, \d+ faults, [1-9]\d* of them kills;"
        r" [1-9]\d* requests, [1-9]\d* acknowledged;"
        r" losses 0, doubles 0, differences 0, others 0",
        last,
    ), run.stdout
