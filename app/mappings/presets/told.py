"""What the values of a file tell of the parameters of a generic preset, or leave open."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from app.mappings.presets import evidence
from app.mappings.presets.header import Header
from app.mappings.presets.names import all_named, moment, named
from app.mappings.presets.preset import Preset

_OFTEN_SEVERAL: Final = ("customer_id", "occurred_at", "amount")


class Told(NamedTuple):
    """What values tell of a parameter."""

    value: Any = None
    """The only answer that fits; None if there is no one such."""
    is_open: bool = False
    """Whether somebody has to say, since several fit or none does."""
    choices: tuple[Any, ...] = ()


def told_by_values(
    preset: Preset, header: Header, given: Mapping[str, Any], home: str
) -> Iterator[tuple[str, Told]]:
    """Give what the values of columns tell, or leave open."""
    names = {parameter.name for parameter in preset.parameters} - given.keys()
    said = given.get("columns") or {}
    for found in (
        _columns(header, preset, said), _forms(header, said, home), _orders(header, said, given),
    ):  # fmt: skip
        yield from ((name, told) for name, told in found if name in names)


def _forms(header: Header, said: Mapping[str, str], home: str) -> Iterator[tuple[str, Told]]:
    """Give how times and amounts are written."""
    times = evidence.times_of(header, ("occurred_at", "due_date", "set_at"), said)
    counted, forms = evidence.counted_in(times), evidence.forms_of(times)
    if counted is not None:
        yield "date_patterns", Told([counted])
    elif times and forms is not None:
        only = [*forms] if len(forms) == 1 else None
        yield "date_patterns", Told(only, only is None, tuple([form] for form in forms))
    amounts = evidence.texts_of(header, ("amount", "unit_price", "outstanding"), said)
    signs = evidence.decimal_signs(amounts)
    yield "decimal_sign", Told(signs[0] if len(signs) == 1 else None, len(signs) > 1)
    if named(header, "currency", said) is None:
        yield "currency", _currency_of(amounts, home)
    if evidence.is_computed(amounts, signs[0]):
        yield "round_amounts", Told(value=True)
    if not amounts:
        yield "amount", Told(is_open=True)


def _orders(
    header: Header, said: Mapping[str, str], given: Mapping[str, Any]
) -> Iterator[tuple[str, Told]]:
    """Give which orders are sales, what was given back, and what sums up others."""
    if evidence.repeats_its_total(header, said):
        yield "amount_is", Told(is_open=True)
    statuses = evidence.texts_of(header, ("order_status",), said)
    if statuses:
        yield "kept_statuses", Told(is_open=evidence.may_be_no_sales(statuses))
    if words := evidence.total_words(header):
        yield "total_words", Told(words)
    refund = named(header, "refunded_amount", said)
    if refund is None:
        states = evidence.texts_of(header, ("refund_status",), said)
        if whole := evidence.given_back(states):
            yield "refunded_statuses", Told(whole, choices=states)
    elif header.values(refund):
        if evidence.repeats_its_total(header, said, "refunded_amount"):
            yield "refund_is", Told(is_open=True, choices=("of_the_line", "of_the_order"))
        if named(header, "refunded_at", said) is None:
            amount = named(header, "amount", said)
            signs = evidence.decimal_signs(header.values(refund, amount or refund, most=200))
            is_net = evidence.exceed(header, refund, amount, given.get("decimal_sign") or signs[0])
            yield "undated_refunds", Told(is_open=is_net, choices=("at_order", "leave_out"))


def _columns(header: Header, preset: Preset, said: Mapping[str, str]) -> Iterator[tuple[str, Told]]:
    """Give which columns are meant where several have names of one field, or none can be it."""
    fields = {name for names in preset.needs for name in names}
    assumed, choices = {}, []
    for field in _OFTEN_SEVERAL:
        columns = [name for name in all_named(header, field) if header.values(name)]
        if field in fields and len(columns) > 1 and len(moment(header, field, said)) == 1:
            assumed[field] = columns[0]
            choices += [{field: name} for name in columns]
    owner = named(header, "customer_id", said)
    is_masked = owner is not None and evidence.is_masked(header.values(owner, most=200))
    if choices or is_masked:
        yield "columns", Told(assumed or None, is_masked, tuple(choices))


def _currency_of(amounts: Sequence[str], home: str) -> Told:
    """Give the currency whose sign amounts bear, unless that may be the deployment's."""
    currencies = evidence.currencies_of(amounts)
    if home in currencies:
        return Told()
    only = currencies[0] if len(currencies) == 1 else None
    return Told(only, len(currencies) > 1, currencies)
