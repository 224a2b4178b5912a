"""The release before this one, and one after it: folders of code to run commands from.

The one before is the newest tag that can be reached, taken from the repository itself; as long as
nothing is tagged, or where there is no repository, it is this code, which will be the first
release. The one after is this code with revisions that a test names.
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.postgres import schema
from tests.prepared import ENVIRONMENT

ROOT = Path(__file__).parents[1]
CODE = ("app", "clm_service", "migrations")
HEADER = '''"""{name}"""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
oldest_served = "{oldest}"
branch_labels = None
depends_on = None


def downgrade() -> None:
    raise NotImplementedError


def upgrade() -> None:
'''
COLUMNS = """
    op.execute("SET LOCAL lock_timeout = '2s'")
    for table in ("customers", "transactions", "interactions", "purchase_summaries", "operations"):
        op.add_column(table, sa.Column("added_later", sa.Text()))
    op.add_column("api_keys", sa.Column("also_later", sa.Integer(), server_default="7"))
    op.execute("ALTER TABLE transactions ADD CONSTRAINT ck_transactions_added_later"
               " CHECK (added_later <> '') NOT VALID")
"""
VALIDATE = """
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE transactions VALIDATE CONSTRAINT ck_transactions_added_later")
"""
INDEX = """
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '30min'")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_transactions_added_later")
        op.create_index("ix_transactions_added_later", "transactions",
                        ["customer_id", "added_later"], postgresql_concurrently=True)
"""
TABLE = """
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.create_table("tills", sa.Column("till", sa.Text(), primary_key=True))
"""
EXPANSION = {"columns": COLUMNS, "validate": VALIDATE, "index": INDEX, "table": TABLE}
"""What a release may do that goes on serving the one before: see `docs/releases.md`."""
CONTRACTION = """
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_column("customers", "stage_version")
"""


@dataclass(frozen=True)
class Release:
    """Code in a folder."""

    folder: Path

    def environment(self, **settings: str) -> dict[str, str]:
        """Return what a process of this release is told."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CLM_")}
        return clean | ENVIRONMENT | {"PYTHONPATH": str(self.folder)} | settings

    def start(self, *words: str, **settings: str) -> "subprocess.Popen[bytes]":
        """Start a command of it."""
        return subprocess.Popen(_command(words), env=self.environment(**settings), cwd="/")

    def run(self, *words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of it to its end."""
        return subprocess.run(
            _command(words),
            env=self.environment(**settings),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def _command(words: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-P", "-m", "clm_service", *words]


def _git(*words: str) -> bytes | None:
    """Return what git says; None where it fails, or where there is none."""
    if shutil.which("git") is None:
        return None
    done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def previous_tag() -> str | None:
    """Return the newest release before this commit; at the first one, that."""
    for commit in ("HEAD^", "HEAD"):
        found = _git("describe", "--tags", "--abbrev=0", "--match", "[0-9]*", commit)
        if found:
            return found.decode().strip()
    return None


def previous(folder: Path) -> Release:
    """Unpack the release before this one."""
    tag = previous_tag()
    archive = None if tag is None else _git("archive", "--format=tar", tag, *CODE)
    if archive is None:
        return this(folder)
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(folder, filter="data")
    return Release(folder)


def this(folder: Path) -> Release:
    """Copy this code, with its bytecode."""
    for name in CODE:
        shutil.copytree(ROOT / name, folder / name)
    return Release(folder)


def after(folder: Path, revisions: Mapping[str, str], *, serves: bool = True) -> Release:
    """Make a release after this one: its revisions by name, each with its steps.

    All serve whom this one serves, or none of them does.
    """
    made = this(folder)
    before, oldest = schema.head(), schema.revisions()[schema.head()]
    for name, steps in revisions.items():
        revision = f"{int(before) + 1:04}"
        said = {"revision": revision, "before": before, "oldest": oldest if serves else revision}
        source = HEADER.format(name=name, **said) + steps
        (folder / "migrations/versions" / f"20990101_{name}.py").write_text(source, "utf-8")
        before = revision
    return made
