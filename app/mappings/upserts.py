"""Customers out in the shape that Zoho CRM takes."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from app.mappings.texts import value_of

MOST: Final = 100
"""Records of one call."""
_STANDARD: Final[Mapping[str, str]] = {
    "Email": "email",
    "Phone": "phone",
    "Title": "occupation",
    "Date_of_Birth": "birth_date",
    "Mailing_City": "city",
    "Mailing_State": "region",
    "Mailing_Country": "country",
    "Lead_Source": "acquisition_channel",
}
"""Fields of contacts that every Zoho CRM has, and what of ours they are."""


def zoho_upserts(
    customers: Iterable[Mapping[str, Any]],
    fields: Mapping[str, str],
    check: Sequence[str] = ("CLM_Customer_Id", "Email"),
    *,
    lookups: Mapping[str, str] | None = None,
    append: Collection[str] = (),
    clear: bool = False,
) -> Iterator[dict[str, Any]]:
    """Return bodies for `POST {module}/upsert`, at most 100 records each, workflows kept silent.

    `customers` are as the API answers them, with fields of their scores beside if wanted; `fields`
    has our name by that of Zoho for what is beyond the standard fields, such as
    `{"CLM_Customer_Id": "customer_id", "CLM_Stage": "stage"}`: custom fields that somebody has to
    create there, that of the id as a unique one; `attributes.interests` is one of the attributes,
    and `{"id": "customer_id"}` names records that came from there. A record is found by the fields
    of `check`. `lookups` are fields that name another record by its id there, such as
    `{"Account_Name": "parent_customer_id"}`; `append` those multi-selects whose values are added to
    what they have. What is null here is left as it is there, unless it is to be cleared.
    """
    names = {**_STANDARD, **fields}
    records = (_record(each, names, lookups or {}, append, clear=clear) for each in customers)
    while batch := list(islice(records, MOST)):
        yield {"data": batch, "duplicate_check_fields": list(check), "trigger": []}


def _record(
    customer: Mapping[str, Any],
    names: Mapping[str, str],
    lookups: Mapping[str, str],
    append: Collection[str],
    *,
    clear: bool,
) -> dict[str, Any]:
    given, family = _names(customer.get("name"))
    record: dict[str, Any] = {"Last_Name": family, "First_Name": given}
    record |= {name: _plain(value_of(customer, ours)) for name, ours in names.items()}
    for name, ours in lookups.items():
        other = value_of(customer, ours)
        record[name] = None if other is None else {"id": other}
    record = {name: value for name, value in record.items() if clear or value is not None}
    added = {name: True for name in append if record.get(name)}
    return {**record, "$append_values": added} if added else record


def _names(name: str | None) -> tuple[str | None, str]:
    """Return given and family name; the family name is needed, and may be all that is known."""
    text = (name or "").strip() or "-"
    given, blank, family = text.rpartition(" ")
    return (given, family) if blank else (None, text)


def _plain(value: Any) -> Any:
    """Return a value as Zoho has it: money as its amount, days and instants as texts."""
    if isinstance(value, Mapping):
        return value.get("amount")
    if value is None or isinstance(value, (str, int, float, list)):
        return value
    return str(value)
