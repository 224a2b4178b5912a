"""The linter of migrations: what would hold everybody up is found, what is made for it is not."""

from pathlib import Path

import pytest

from app.postgres import schema
from tests import migration_lint, releases
from tests.migration_lint import BEFORE_RULES, EXCUSED, NOT_OURS, lint, rules_left_out, sql_of

LOCKING = {
    "require-concurrent-index-creation": 'op.create_index("ix", "transactions", ["amount"])',
    "adding-required-field": 'op.add_column("transactions",'
    ' sa.Column("till", sa.Text(), nullable=False))',
    "changing-column-type": 'op.alter_column("transactions", "revision", type_=sa.Integer())',
    "constraint-missing-not-valid": 'op.create_check_constraint("ck", "transactions", "amount>0")',
    "ban-drop-column": 'op.drop_column("transactions", "channel")',
    "renaming-table": 'op.rename_table("transactions", "purchases")',
    "adding-not-nullable-field": 'op.alter_column("transactions", "channel", nullable=False)',
}


def sql(tmp_path: Path, name: str, steps: str) -> str:
    """Return the SQL of one more revision."""
    revision = f"{int(schema.head()) + 1:04}"
    said = {"revision": revision, "before": schema.head(), "oldest": schema.head()}
    source = releases.HEADER.format(name=name, **said) + steps
    (tmp_path / f"{name}.py").write_text(source, "utf-8")
    configuration = schema.config()
    folders = [str(schema.MIGRATIONS / "versions"), str(tmp_path)]
    configuration.set_main_option("version_locations", "\n".join(folders))
    configuration.set_main_option("path_separator", "newline")
    return sql_of(revision, configuration)


@pytest.mark.parametrize("rule", LOCKING)
def test_what_holds_everybody_up_is_found(tmp_path: Path, rule: str) -> None:
    found = lint(sql(tmp_path, "locking", f"    {LOCKING[rule]}\n"), list(NOT_OURS), "locking")
    assert rule in found


@pytest.mark.parametrize("name", releases.EXPANSION)
def test_what_the_rules_of_releases_allow_is_not(tmp_path: Path, name: str) -> None:
    assert lint(sql(tmp_path, name, releases.EXPANSION[name]), list(NOT_OURS), name) == ""


def test_every_revision_since_the_rules_is_without_a_fault() -> None:
    assert migration_lint.main() == 0


def test_what_is_excused_is_a_revision_that_is_linted() -> None:
    assert schema.revisions().keys() >= {*BEFORE_RULES, *EXCUSED}
    assert not EXCUSED.keys() & set(BEFORE_RULES)
    assert all(reason for rules in EXCUSED.values() for reason in rules.values())
    assert set(rules_left_out(schema.head())) >= set(NOT_OURS)
