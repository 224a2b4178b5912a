"""Files and mappings as tests use them."""

from decimal import Decimal
from pathlib import Path

from app.mappings.applying import LeftOut, Mapped, Mapper, Rejected, outcomes
from app.mappings.compiling import Context, compile_mapping, parse
from app.mappings.detection import detect
from app.mappings.presets.registry import build
from app.mappings.reading import read

SAMPLES = Path(__file__).with_name("samples")
ORDERS = {
    "name": "Orders",
    "source": "shop",
    "times": {"zone": "Europe/Berlin"},
    "facts": [
        {
            "fact": "transactions",
            "fields": {
                "customer_id": {"column": "customer"},
                "transaction_id": {"column": "order"},
                "occurred_at": {"column": "at"},
                "amount": {"column": "amount"},
            },
        }
    ],
}


def pieces(data, size=997):
    return [data[start : start + size] for start in range(0, len(data), size)]


def rows_of(data, *, size=997, said=None, **options):
    return list(read(pieces(data, size), detect(data, said), **options))


class Result:
    """All that a file came to."""

    def __init__(self, found):
        self.outcomes = list(found)
        self.mapped = [each for each in self.outcomes if isinstance(each, Mapped)]
        self.rejected = [each for each in self.outcomes if isinstance(each, Rejected)]
        self.left_out = [each for each in self.outcomes if isinstance(each, LeftOut)]
        self.facts = [fact for each in self.mapped for fact in each.facts]

    def items(self, kind):
        return [fact.item for fact in self.facts if fact.kind == kind]

    def sales(self, kind="purchase"):
        return [item for item in self.items("transactions") if item.get("kind", "purchase") == kind]

    @property
    def refusals(self):
        """(row, code) of each rejected row."""
        return [(row.row, each.problem.code) for each in self.rejected for row in each.rows]

    @property
    def filters(self):
        """(row, code) of each row that was left out."""
        return [(row.row, each.filter) for each in self.left_out for row in each.rows]

    @property
    def warnings(self):
        return [
            (each.rows[0].row, said.column, said.code)
            for each in self.mapped
            for said in each.warnings
        ]


def apply(data, document, *, currency="EUR", now=None, **options):
    detected = detect(data)
    plan = compile_mapping(document, detected, Context(currency, now=now))
    return Result(outcomes(Mapper(plan), read(pieces(data), detected, **options)))


def mapped(data, document, **options):
    return apply(data, parse(document), **options)


def by_preset(name, preset, *, currency="EUR", now=None, **parameters):
    data = (SAMPLES / name).read_bytes()
    return apply(data, build(preset, detect(data), parameters), currency=currency, now=now)


def total(items, currency=None):
    return sum(
        (
            Decimal(item["amount"]["amount"])
            for item in items
            if currency is None or item["amount"].get("currency") == currency
        ),
        Decimal(0),
    )
