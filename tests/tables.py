"""The page of the tables, drawn from the models: `make tables` writes it."""

import sys
from collections.abc import Iterator

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapper

from app.models import Base

DIALECT = postgresql.dialect()
ABOUT = """# The tables

Drawn from `app/models` by `make tables`; a test fails when the two differ.

- **Customer-owned** tables have `customer_id` first in their key, so that they can be parted by
  customer later. **Shared** ones are small, and hold nothing of a single customer.
- Arrows are keys that one table keeps of another. None is a foreign key of the database: services
  keep them true, and nothing stands in the way of parting customers.
- `PK` is the primary key. A column with `"or null"` may be empty.
- Derived from facts and profiles, and made anew from them, are `purchase_summaries`,
  `purchase_days`, `interaction_days`, `customer_search`, `stage_transitions`, and the stage and the
  `phone_e164` of `customers`.
- The scores of each run are in a table of their own, customer-owned:
  `scores_of` in `app/models/scoring.py` describes it, `docs/decisions/0032` says why.
"""
KEYS_OF_OTHERS = {
    ("transactions", "transaction_revisions"): "source, transaction_id",
    ("transactions", "transactions"): "refunds_source, refunds_transaction_id",
    ("interactions", "interaction_revisions"): "source, interaction_id",
    ("policies", "policy_activations"): "version",
    ("policies", "stage_transitions"): "policy_version",
    ("policies", "purchase_summaries"): "policy_version",
    ("policies", "runs"): "policy_version",
}
"""Keys that go by another name, or are of several columns; those of one are found."""
SHORT = {
    "timestamp with time zone": "timestamptz",
    "double precision": "float8",
}


def tables() -> list[Table]:
    """Return all tables, by name."""
    return list(Base.metadata.sorted_tables)


def is_owned(table: Table) -> bool:
    """Say whether a table is one of customers."""
    return next(iter(table.primary_key.columns)).name == "customer_id"


def meaning(table: Table) -> str:
    """Return what a table is: the first sentence of its class."""
    mappers: list[Mapper[object]] = list(Base.registry.mappers)
    (described,) = [mapper.class_ for mapper in mappers if mapper.local_table is table]
    return " ".join(described.__doc__.split("\n\n")[0].split())


def type_of(column: Column[object]) -> str:
    """Return the type of a column, in one word."""
    full = column.type.compile(dialect=DIALECT).split("COLLATE")[0].strip().lower()
    return SHORT.get(full, full).split("(")[0]


def entity(table: Table) -> Iterator[str]:
    yield f"    {table.name} {{"
    for column in table.columns:
        key = " PK" if column.primary_key else ""
        yield f"        {type_of(column)} {column.name}{key}" + ' "or null"' * bool(column.nullable)
    yield "    }"


def arrows() -> dict[tuple[str, str], str]:
    """Return which table keeps the key of which, and the columns that hold it."""
    found = dict(KEYS_OF_OTHERS)
    for table in tables():
        for key in table.foreign_key_constraints:
            found[key.referred_table.name, table.name] = ", ".join(key.column_keys)
        for target in targets():
            (key,) = target.primary_key.columns.keys()
            if key in table.columns and table is not target:
                found.setdefault((target.name, table.name), key)
    return dict(sorted(found.items()))


def targets() -> list[Table]:
    """Return the tables whose key, of one column, is known by its name wherever it is kept."""
    return [
        table
        for table in tables()
        if len(table.primary_key.columns) == 1
        and table.name not in ("settings", "policies", "purchase_summaries", "customer_search")
    ]


def arrow(target: str, table: str, columns: str) -> str:
    own = Base.metadata.tables[table]
    kept = [own.c[name] for name in columns.split(", ")]
    at_most_one = kept == list(own.primary_key.columns) or (len(kept) == 1 and kept[0].unique)
    return f'    {target} ||--{"o|" if at_most_one else "o{"} {table} : "{columns}"'


def text() -> str:
    """Return the page as it stands in the file."""
    lines = [ABOUT]
    for title, owned in (("Customer-owned", True), ("Shared", False)):
        lines += [f"## {title}", "", "| table | one row is |", "|---|---|"]
        lines += [f"| `{each.name}` | {meaning(each)} |" for each in tables()
                  if is_owned(each) is owned]  # fmt: skip
        lines.append("")
    lines += ["## Which keeps the key of which", "", "```mermaid", "erDiagram"]
    lines += [arrow(*pair, columns) for pair, columns in arrows().items()]
    lines += ["```", "", "## Every column", ""]
    for title, owned in (("Customer-owned", True), ("Shared", False)):
        lines += [f"### {title} tables", "", "```mermaid", "erDiagram"]
        for table in tables():
            if is_owned(table) is owned:
                lines += entity(table)
        lines += ["```", ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
