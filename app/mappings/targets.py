"""The fields of facts: what each takes, and how its text is read where nothing else is said."""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from app.mappings.document import FactKind
from app.mappings.values import ReadAs

Type = Literal[
    "id", "fact_id", "line", "text", "long_text", "day", "instant", "amount", "rate", "revision",
    "number", "currency", "customer_kind", "transaction_kind", "json",
]  # fmt: skip


class Target(NamedTuple):
    """What a field takes."""

    type: Type
    needed: bool = False

    @property
    def read_as(self) -> ReadAs:
        return _READ.get(self.type, "text")


_READ: Final[Mapping[Type, ReadAs]] = {
    "id": "id",
    "fact_id": "id",
    "day": "day",
    "instant": "time",
    "amount": "money",
    "rate": "number",
    "revision": "number",
    "number": "number",
}
_LINE: Final = Target("line")
_FACT: Final[dict[str, Target]] = {
    "customer_id": Target("id", needed=True),
    "source": Target("fact_id"),
    "occurred_at": Target("instant", needed=True),
    "revision": Target("revision"),
}
FIELDS: Final[Mapping[FactKind, Mapping[str, Target]]] = {
    "customers": {
        "customer_id": Target("id", needed=True),
        "source": Target("fact_id"),
        "valid_from": Target("instant"),
        "kind": Target("customer_kind"),
        **dict.fromkeys(
            ("name", "email", "phone", "country", "region", "city", "gender", "occupation",
             "industry", "income_band", "owner", "acquisition_channel", "preferred_language",
             "time_zone"),
            _LINE,
        ),
        "birth_date": Target("day"),
        "parent_customer_id": Target("id"),
        "referred_by": Target("id"),
        "first_contact_at": Target("instant"),
        "contract_ends_on": Target("day"),
    },
    "transactions": {
        **_FACT,
        "transaction_id": Target("fact_id", needed=True),
        "kind": Target("transaction_kind"),
        "amount": Target("amount", needed=True),
        "currency": Target("currency"),
        "exchange_rate": Target("rate"),
        "refunds_transaction_id": Target("fact_id"),
        "refunds_source": Target("fact_id"),
        "margin": Target("amount"),
        "channel": Target("text"),
    },
    "interactions": {
        **_FACT,
        "interaction_id": Target("fact_id", needed=True),
        "kind": Target("text", needed=True),
        "channel": Target("text"),
        "campaign": Target("text"),
        "outcome": Target("text"),
        "score": Target("number"),
        "text": Target("long_text"),
    },
    "churn_records": {
        **_FACT,
        "churn_record_id": Target("fact_id", needed=True),
        "reason": Target("text", needed=True),
        "competitor": Target("text"),
        "note": Target("long_text"),
    },
    "overrides": {
        "customer_id": Target("id", needed=True),
        "stage": Target("text", needed=True),
        "set_at": Target("instant", needed=True),
        "reason": Target("text", needed=True),
        "until": Target("instant"),
    },
}  # fmt: skip
WORDS: Final[Mapping[Type, tuple[str, ...]]] = {
    "customer_kind": ("person", "company"),
    "transaction_kind": ("purchase", "refund"),
}
"""What fields may be that are one of a few words."""
LINE_FIELDS: Final[Mapping[str, Target]] = {
    "product_id": Target("text", needed=True),
    "category": Target("text"),
    "quantity": Target("number", needed=True),
    "unit_price": Target("amount"),
    "total": Target("amount"),
}
IDS: Final[Mapping[FactKind, str]] = {
    "transactions": "transaction_id",
    "interactions": "interaction_id",
    "churn_records": "churn_record_id",
}
"""The field that is the id of a fact."""
HAVE_ATTRIBUTES: Final[frozenset[FactKind]] = frozenset(
    {"customers", "transactions", "interactions"}
)
