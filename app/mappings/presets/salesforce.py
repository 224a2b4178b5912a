"""Salesforce: objects as Data Loader, bulk queries and the command line export them."""

from collections.abc import Mapping
from typing import Any, Final

from app.mappings.presets.header import (
    Header,
    Said,
    among,
    constant,
    filters,
    known,
    none_of,
    starts,
)
from app.mappings.presets.preset import DECIMAL, HOLDS_FROM, Preset, source, tests, zone

_IDS: Final = {"read_as": "salesforce_id"}
_IGNORED: Final = ["OwnerId", "CreatedDate", "LastModifiedDate", "CreatedById",
                   "LastModifiedById", "SystemModstamp", "IsDeleted", "FiscalYear", "IsClosed",
                   "attributes"]  # fmt: skip


def _document(name: str, answers: Mapping[str, Any], **more: Any) -> Said:
    return {
        "name": name,
        "source": answers["source"],
        "times": {"zone": answers["time_zone"], "days": "noon"},
        "amounts": {"decimal": answers["decimal_sign"]},
        "ignored": _IGNORED,
        **more,
    }


def _left_out(
    header: Header, answers: Mapping[str, Any], name: str, *more: tuple[str, Said | None]
) -> list[Said]:
    return filters(
        ("deleted", among(header.find("IsDeleted"), ["true", "1"])),
        *more,
        ("test_record", starts(header.find(name), answers["test_words"])),
    )


def _since(header: Header, answers: Mapping[str, Any]) -> Said | None:
    modified = answers["profiles_hold_from"] == "modified"
    return header.value("SystemModstamp", "LastModifiedDate") if modified else None


def accounts(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of accounts: companies, and persons where person accounts are in use."""
    person = {"true": "person", "1": "person", "*": "company"}
    fields = known(
        customer_id=header.value("Id", **_IDS),
        kind=header.value("IsPersonAccount", translate=person, default="company")
        or constant("company"),
        name=header.value("Name"),
        email=header.value("PersonEmail"),
        phone=header.value("Phone", "PersonMobilePhone"),
        birth_date=header.value("PersonBirthdate"),
        city=header.value("BillingCity", "ShippingCity", "PersonMailingCity"),
        region=header.value("BillingState", "ShippingState", "PersonMailingState"),
        country=header.value("BillingCountry", "ShippingCountry", "PersonMailingCountry"),
        industry=header.value("Industry"),
        parent_customer_id=header.value("ParentId", **_IDS),
        owner=header.value("Owner.Name"),
        acquisition_channel=header.value("AccountSource"),
        first_contact_at=header.value("CreatedDate"),
        valid_from=_since(header, answers),
    )
    rule = {"fact": "customers", "fields": fields, "rest": True}
    left = _left_out(header, answers, "Name")
    return _document("Accounts of Salesforce", answers, filters=left, facts=[rule])


def contacts(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of contacts: persons, who belong to their account."""
    fields = known(
        customer_id=header.value("Id", **_IDS),
        kind=constant("person"),
        name=header.join("FirstName", "LastName", read_as="person_name"),
        email=header.value("Email"),
        phone=header.value("MobilePhone", "Phone", "HomePhone"),
        birth_date=header.value("Birthdate"),
        occupation=header.value("Title"),
        city=header.value("MailingCity"),
        region=header.value("MailingState"),
        country=header.value("MailingCountry"),
        parent_customer_id=header.value("AccountId", **_IDS),
        owner=header.value("Owner.Name"),
        acquisition_channel=header.value("LeadSource"),
        first_contact_at=header.value("CreatedDate"),
        valid_from=_since(header, answers),
    )
    rule = {"fact": "customers", "fields": fields, "rest": True}
    left = _left_out(header, answers, "LastName")
    return _document("Contacts of Salesforce", answers, filters=left, facts=[rule])


def opportunities(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of opportunities: those that are won are purchases of their account."""
    fields = known(
        customer_id=header.value("AccountId", "ContactId", **_IDS),
        transaction_id=header.value("Id", **_IDS),
        occurred_at=header.value("CloseDate"),
        amount=header.value("Amount"),
        currency=header.value("CurrencyIsoCode"),
        revision=header.value("SystemModstamp", "LastModifiedDate", read_as="time"),
    )
    rules: list[Said] = []
    if header.has("Account.Name"):
        profile = known(
            customer_id=header.value("AccountId", **_IDS),
            kind=constant("company"),
            name=header.value("Account.Name"),
            owner=header.value("Owner.Name"),
        )
        has_account = {"column": header.find("AccountId"), "blank": False}
        rules.append({"fact": "customers", "when": has_account, "fields": profile})
    rules.append({"fact": "transactions", "fields": fields, "negative": "refund", "rest": True})
    not_won = ("not_won", none_of(header.find("IsWon"), ["true", "1"]))
    left = _left_out(header, answers, "Name", not_won)
    return _document("Won opportunities of Salesforce", answers, filters=left, facts=rules)


_COMMON: Final = (zone(), source("salesforce"), DECIMAL)
PRESETS: Final = (
    Preset(
        "salesforce_opportunities",
        "Won opportunities of Salesforce, with API names",
        ("customers", "transactions"),
        (("Id",), ("AccountId",), ("Amount",), ("CloseDate",), ("IsWon",)),
        opportunities,
        (*_COMMON, tests("test ", "zz test")),
        ("StageName", "SystemModstamp", "OwnerId", "IsDeleted", "Probability"),
        "numbers of more than 10 million may have an exponent",
    ),
    Preset(
        "salesforce_contacts",
        "Contacts of Salesforce, with API names",
        ("customers",),
        (("Id",), ("AccountId",), ("LastName",), ("FirstName", "Email")),
        contacts,
        (*_COMMON, HOLDS_FROM, tests()),
        ("OwnerId", "MailingCity", "SystemModstamp", "ReportsToId"),
    ),
    Preset(
        "salesforce_accounts",
        "Accounts of Salesforce, with API names",
        ("customers",),
        (("Id",), ("Name",), ("ParentId", "BillingCity", "BillingCountry", "AccountSource")),
        accounts,
        (*_COMMON, HOLDS_FROM, tests()),
        ("OwnerId", "Industry", "BillingCity", "SystemModstamp", "NumberOfEmployees"),
    ),
)
