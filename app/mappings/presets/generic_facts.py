"""Files of nobody's layout that are no orders: interactions, overdue payments, stages."""

from collections.abc import Mapping
from typing import Any, Final

from app.mappings.presets.generic_parts import COMMON, customer, document, finder, time
from app.mappings.presets.header import Header, Said, constant, first_of, known
from app.mappings.presets.names import named
from app.mappings.presets.preset import Parameter, Preset


def interactions(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of interactions, one a row."""
    find = finder(header, answers)
    columns = answers["columns"]
    texts = [named(header, each, columns)
             for each in ("customer_id", "occurred_at", "interaction_kind")]  # fmt: skip
    hashed = [name for name in texts if name is not None]
    kind = find("interaction_kind")
    if answers["kind"] is not None:
        kind = constant(answers["kind"])
    fields = known(
        customer_id=customer(find),
        interaction_id=find("interaction_id")
        or ({"hash_of": hashed, "numbered": True} if hashed else None),
        occurred_at=time(header, answers, "occurred_at"),
        kind=kind,
        channel=find("channel"),
        campaign=find("campaign"),
        outcome=find("outcome"),
        score=find("score"),
        text=find("text"),
    )
    rule = {"fact": "interactions", "fields": fields, "rest": True}
    return document("Interactions", answers, facts=[rule])


def overdue_payments(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of payments that are overdue, as interactions of that kind."""
    find = finder(header, answers)
    fields = known(
        customer_id=customer(find),
        interaction_id=find("payment_id"),
        occurred_at=time(header, answers, "due_date"),
        kind=constant("payment_overdue"),
    )
    amount = find("outstanding", read_as="number") or find("amount", read_as="number")
    rule = {
        "fact": "interactions",
        "fields": fields,
        "attributes": known(amount=amount, currency=find("currency")),
        "rest": True,
    }
    return document("Overdue payments", answers, facts=[rule])


def stages(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of the stages of an old system, as overrides with their dates."""
    find = finder(header, answers)
    fields = known(
        customer_id=customer(find),
        set_at=time(header, answers, "set_at"),
        stage=find("stage", translate=answers["stages"]),
        reason=first_of(find("reason"), constant(answers["reason"])),
    )
    return document(
        "Stages of an old system", answers, facts=[{"fact": "overrides", "fields": fields}]
    )


_KIND: Final = Parameter("kind", "text", "Which kind are all interactions of the file, if one?")
PRESETS: Final = (
    Preset(
        "overdue_payments",
        "Payments that are overdue",
        ("interactions",),
        (("customer_id",), ("due_date",), ("payment_id",)),
        overdue_payments,
        COMMON,
        generic=True,
    ),
    Preset(
        "stages",
        "Stages of an old system, as overrides",
        ("overrides",),
        (("customer_id",), ("stage",), ("set_at",)),
        stages,
        (
            *COMMON,
            Parameter("stages", "pairs", "Which stage of ours is each of theirs (theirs: ours)?",
                      required=True, column="stage"),
            Parameter("reason", "text", "What is the reason of the overrides?",
                      default="imported from the old system"),
        ),
        generic=True,
    ),
    Preset(
        "interactions",
        "Interactions, one a row",
        ("interactions",),
        (("customer_id",), ("occurred_at",), ("interaction_kind",)),
        interactions,
        (*COMMON, _KIND),
        generic=True,
    ),
)  # fmt: skip
