"""Lint the SQL of migrations by squawk: what would lock a table that is being written to.

`make check` runs it on every revision that is not older than the rules. What a rule does not fit is
excused here, with the reason.
"""

import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.postgres import schema

BEFORE_RULES = tuple(f"{number:04}" for number in range(1, 16))
"""Revisions that were there first; nothing was deployed then that they could hold up."""
NOT_OURS = (
    "prefer-robust-stmts",  # each revision is one transaction, or drops what broke off itself
    "require-timeout-settings",  # statements are not limited while migrating, locks are
    "prefer-bigint-over-int",  # counts that fit
)
CONTRACTS = ("ban-drop-column", "ban-drop-table", "ban-drop-not-null", "renaming-column")
"""Taking away is for revisions that say whom they no longer serve."""
EXCUSED: dict[str, dict[str, str]] = {
    "0017": {"prefer-bigint-over-smallint": "a status of HTTP has three digits"},
}
"""By revision, rules that do not fit it, with the reason."""


def sql_of(revision: str, configuration: Config | None = None) -> str:
    """Return the SQL of one revision, as `alembic upgrade --sql` has it."""
    configuration = configuration or schema.config()
    configuration.output_buffer = output = StringIO()
    before = ScriptDirectory.from_config(configuration).get_revision(revision).down_revision
    command.upgrade(configuration, f"{before}:{revision}", sql=True)
    return output.getvalue()


def rules_left_out(revision: str) -> list[str]:
    """Return the rules that say nothing about a revision."""
    served = list(schema.revisions().values())
    at = list(schema.revisions()).index(revision)
    contracts = at > 0 and served[at] != served[at - 1]
    return [*NOT_OURS, *(CONTRACTS if contracts else ()), *EXCUSED.get(revision, ())]


def lint(sql: str, left_out: list[str], name: str) -> str:
    """Return what squawk finds in a text, nothing if it finds nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.sql"
        path.write_text(sql, "utf-8")
        rules = ["--pg-version", "15", "--exclude", ",".join(left_out)]
        squawk = Path(sys.executable).with_name("squawk")
        done = subprocess.run([squawk, *rules, path], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def main() -> int:
    """Lint all that is to be linted; print what is found."""
    failed = 0
    for revision in schema.revisions():
        if revision not in BEFORE_RULES:
            found = lint(sql_of(revision), rules_left_out(revision), revision)
            failed |= bool(found)
            sys.stderr.write(found)
    return failed


if __name__ == "__main__":
    sys.exit(main())
