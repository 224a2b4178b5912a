"""Zoho CRM: the CSV of the export of a module. Headers are labels of fields in English."""

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
from app.mappings.presets.preset import (
    DECIMAL,
    HOLDS_FROM,
    PATTERNS,
    Parameter,
    Preset,
    source,
    tests,
    zone,
)

_PATTERNS: Final = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d",
    "%b %d, %Y %I:%M %p", "%b %d, %Y %H:%M", "%b %d, %Y",
)  # fmt: skip
_IGNORED: Final = [
    "Created By*", "Modified By*", "*Owner.id", "Change Log Time", "Locked", "Last Activity Time",
    "Last Enriched Time", "Enrich Status", "Vendor Name.id", "Reporting To.id",
    "Campaign Source.id",
]  # fmt: skip
_ZERO: Final = {"blanks": ["0"]}
_RATE: Final = Parameter(
    "exchange_rate_is",
    "choice",
    "What is the exchange rate of a deal: units of the home currency for one of the deal's, or the "
    "other way around? Not told by Zoho; without an answer rates are dropped.",
    choices=("home_for_one", "for_one_home"),
)
_HOME: Final = Parameter("home_currency", "currency", "Which is the home currency in Zoho CRM?")


def _id(header: Header, *names: str) -> Said | None:
    return header.value(*names, strip_prefix="zcrm_")


def _time(header: Header, answers: Mapping[str, Any], *names: str) -> Said | None:
    return header.value(*names, patterns=[*_PATTERNS, *answers["date_patterns"]])


def _document(name: str, answers: Mapping[str, Any], **more: Any) -> Said:
    return {
        "name": name,
        "source": answers["source"],
        "times": {"zone": answers["time_zone"], "days": "noon"},
        "amounts": {"decimal": answers["decimal_sign"]},
        "blanks": ["-None-"],
        "ignored": _IGNORED,
        **more,
    }


def _since(header: Header, answers: Mapping[str, Any]) -> Said | None:
    modified = answers["profiles_hold_from"] == "modified"
    return _time(header, answers, "Modified Time") if modified else None


def contacts(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of contacts: persons, who belong to their account."""
    fields = known(
        customer_id=_id(header, "Record Id", "Contact Id"),
        kind=constant("person"),
        name=header.join("First Name", "Last Name", read_as="person_name"),
        email=header.value("Email"),
        phone=header.value("Mobile", "Phone", "Home Phone", "Other Phone"),
        birth_date=_time(header, answers, "Date of Birth"),
        occupation=header.value("Title"),
        city=header.value("Mailing City", "Other City"),
        region=header.value("Mailing State", "Other State"),
        country=header.value("Mailing Country", "Other Country"),
        acquisition_channel=header.value("Lead Source"),
        parent_customer_id=_id(header, "Account Name.id"),
        owner=header.value("Contact Owner"),
        first_contact_at=_time(header, answers, "Created Time"),
        valid_from=_since(header, answers),
    )
    test = {
        "all": [
            each
            for each in (
                among(header.find("Last Name"), answers["test_words"]),
                starts(header.find("First Name"), answers["test_words"]),
            )
            if each is not None
        ]
    }
    rules = [{"fact": "customers", "fields": fields, "rest": True}]
    left = filters(("test_record", test if answers["test_words"] and test["all"] else None))
    return _document("Contacts of Zoho CRM", answers, filters=left, facts=rules)


def accounts(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of accounts: companies."""
    fields = known(
        customer_id=_id(header, "Record Id", "Account Id"),
        kind=constant("company"),
        name=header.value("Account Name", blanks=["-"]),
        phone=header.value("Phone"),
        industry=header.value("Industry"),
        city=header.value("Billing City", "Shipping City"),
        region=header.value("Billing State", "Shipping State"),
        country=header.value("Billing Country", "Shipping Country"),
        parent_customer_id=_id(header, "Parent Account.id"),
        owner=header.value("Account Owner"),
        acquisition_channel=header.value("Lead Source"),
        first_contact_at=_time(header, answers, "Created Time"),
        valid_from=_since(header, answers),
    )
    numbers = {
        name: {**value, **_ZERO}
        for name, value in (
            ("Employees", header.value("Employees", read_as="number", if_bad="leave_out")),
            ("Annual Revenue", header.value("Annual Revenue", read_as="number")),
            ("SIC Code", header.value("SIC Code", read_as="text")),
            ("Account Number", header.value("Account Number", read_as="text")),
        )
        if value is not None
    }
    rule = {"fact": "customers", "fields": fields, "attributes": numbers, "rest": True}
    test = starts(header.find("Account Name"), answers["test_words"])
    left = filters(("test_record", test))
    return _document("Accounts of Zoho CRM", answers, filters=left, facts=[rule])


def deals(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of deals: those that are won are purchases of their account."""
    rate_is = answers["exchange_rate_is"]
    rate = header.value("Exchange Rate", inverse=rate_is == "for_one_home")
    fields = known(
        customer_id=_id(header, "Account Name.id", "Contact Name.id"),
        transaction_id=_id(header, "Record Id", "Deal Id"),
        occurred_at=_time(header, answers, "Closing Date"),
        amount=header.value("Amount"),
        currency=header.value("Currency"),
        exchange_rate=rate if rate_is is not None else None,
        revision=_time(header, answers, "Modified Time"),
    )
    if "revision" in fields:
        fields["revision"]["read_as"] = "time"
    left = filters(
        ("not_won", none_of(header.find("Stage"), answers["won_stages"])),
        ("test_record", starts(header.find("Deal Name"), answers["test_words"])),
    )
    rule = {"fact": "transactions", "fields": fields, "negative": "refund", "rest": True}
    amounts = {"decimal": answers["decimal_sign"], "rates_to": answers["home_currency"]}
    return _document("Won deals of Zoho CRM", answers, filters=left, facts=[rule], amounts=amounts)


_COMMON: Final = (zone(), source("zoho"), DECIMAL, PATTERNS)
PRESETS: Final = (
    Preset(
        "zoho_contacts",
        "Contacts of Zoho CRM, CSV",
        ("customers",),
        (("Record Id", "Contact Id"), ("Last Name",), ("Contact Owner", "Contact Name")),
        contacts,
        (*_COMMON, HOLDS_FROM, tests("test")),
        ("Contact Owner.id", "Account Name.id", "Mailing City", "Lead Source", "Modified Time",
         "First Name"),
        "the zone of times is the user's or the organisation's",
    ),
    Preset(
        "zoho_accounts",
        "Accounts of Zoho CRM, CSV",
        ("customers",),
        (("Record Id", "Account Id"), ("Account Name",), ("Account Owner", "Account Type")),
        accounts,
        (*_COMMON, HOLDS_FROM, tests()),
        ("Account Owner.id", "Parent Account.id", "Billing City", "Industry", "Modified Time"),
    ),
    Preset(
        "zoho_deals",
        "Won deals of Zoho CRM, CSV",
        ("transactions",),
        (("Record Id", "Deal Id"), ("Deal Name",), ("Closing Date",), ("Stage",), ("Amount",),
         ("Account Name.id", "Contact Name.id")),
        deals,
        (
            *_COMMON,
            Parameter("won_stages", "list", "Which stages mean that a deal is won?",
                      required=True, column="Stage"),
            _RATE, _HOME, tests("test "),
        ),
        ("Deal Owner.id", "Deal Owner", "Probability (%)", "Pipeline", "Modified Time"),
        "the direction of the exchange rate",
    ),
)  # fmt: skip
