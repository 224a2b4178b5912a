"""What a process has to import before it can serve."""

import subprocess
import sys

HEAVY = ("alembic", "babel", "dns", "phonenumbers")
"""Libraries that few processes need, or not before they are asked."""


def test_to_serve_and_to_work_needs_nothing_that_takes_long() -> None:
    program = f"import app.cli.commands, app.main, app.worker, sys; print({{*{HEAVY}}} & {{*sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
