"""What a process has to import before it can serve."""

import subprocess
import sys


def test_to_serve_and_to_work_needs_no_alembic() -> None:
    program = "import app.cli, app.main, app.worker, sys; print('alembic' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
