"""HubSpot: contacts and deals, by labels in English or internal names."""

from collections.abc import Mapping
from typing import Any, Final

from app.mappings.presets.header import (
    Header,
    Said,
    among,
    constant,
    either,
    filters,
    first_of,
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

_ID: Final = ("Record ID", "hs_object_id", "Contact ID", "Deal ID")
_COMPANIES: Final = ("Associated Company IDs (Primary)", "Associated Company IDs",
                     "associatedcompanyid", "Associated Company ID")  # fmt: skip
_WON: Final = ("Is Closed Won", "hs_is_closed_won")
_YES: Final = ("true", "yes", "1")


def _company(header: Header) -> Said | None:
    return header.value(*_COMPANIES, read_as="first_of_list", separator=";", prefix="company:")


def _time(header: Header, answers: Mapping[str, Any], *names: str) -> Said | None:
    patterns = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S.%f%z",
                "%Y-%m-%dT%H:%M:%S%z", *answers["date_patterns"]]  # fmt: skip
    return header.value(*names, patterns=patterns)


def _document(name: str, answers: Mapping[str, Any], **more: Any) -> Said:
    return {
        "name": name,
        "source": answers["source"],
        "times": {"zone": answers["time_zone"], "days": "noon"},
        "amounts": {"decimal": answers["decimal_sign"]},
        **more,
    }


def contacts(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of contacts: persons, who belong to their first company."""
    modified = answers["profiles_hold_from"] == "modified"
    fields = known(
        customer_id=header.value(*_ID, prefix="contact:"),
        kind=constant("person"),
        name=header.join("First Name", "firstname", "Last Name", "lastname", read_as="person_name"),
        email=header.value("Email", "email"),
        phone=header.value("Mobile Phone Number", "mobilephone", "Phone Number", "phone"),
        city=header.value("City", "city"),
        region=header.value("State/Region", "state"),
        country=header.value("Country/Region", "country"),
        birth_date=_time(header, answers, "Date of birth", "date_of_birth"),
        gender=header.value("Gender", "gender"),
        occupation=header.value("Job Title", "jobtitle"),
        industry=header.value("Industry", "industry"),
        acquisition_channel=header.value(
            "Original Traffic Source", "Original Source", "hs_analytics_source"
        ),
        parent_customer_id=_company(header),
        owner=header.value("Contact owner", "hubspot_owner_id"),
        first_contact_at=_time(header, answers, "Create Date", "createdate"),
        valid_from=_time(header, answers, "Last Modified Date", "lastmodifieddate")
        if modified
        else None,
    )
    words = answers["test_words"]
    sample = among(header.find("Job Title", "jobtitle"), ["sample contact"])
    test = starts(header.find("Email", "email"), words)
    left = filters(("test_record", either(sample, test)))
    rule = {"fact": "customers", "fields": fields, "rest": True}
    return _document("Contacts of HubSpot", answers, filters=left, facts=[rule])


def deals(header: Header, answers: Mapping[str, Any]) -> Said:
    """Return the mapping of deals: those that are won are purchases of their company."""
    contact = header.value("Associated Contact IDs", "associatedcontactids",
                           read_as="first_of_list", separator=";", prefix="contact:")  # fmt: skip
    home = header.find("Amount in company currency", "amount_in_home_currency")
    amount = header.find("Amount", "amount")
    fields = known(
        customer_id=first_of(_company(header), contact),
        transaction_id=header.value(*_ID, prefix="deal:"),
        occurred_at=_time(header, answers, "Close Date", "closedate"),
        amount=header.value("Amount", "amount"),
        currency=header.value("Currency", "deal_currency_code"),
        exchange_rate=None
        if home is None or answers["company_currency"] is None
        else {"ratio": [home, amount]},
    )
    won = header.find(*_WON) if any(map(header.has, _WON)) else None
    stage = header.find("Deal Stage", "dealstage")
    asked = answers["won_stages"]
    not_won = none_of(stage, asked) if asked else none_of(won, _YES)
    left = filters(
        ("not_won", not_won),
        ("test_record", starts(header.find("Deal Name", "dealname"), answers["test_words"])),
    )
    rule = {"fact": "transactions", "fields": fields, "negative": "refund", "rest": True}
    amounts = {"decimal": answers["decimal_sign"], "rates_to": answers["company_currency"]}
    return _document("Won deals of HubSpot", answers, filters=left, facts=[rule], amounts=amounts)


_COMMON: Final = (zone(), source("hubspot"), DECIMAL, PATTERNS)
PRESETS: Final = (
    Preset(
        "hubspot_contacts",
        "Contacts of HubSpot, CSV",
        ("customers",),
        (_ID[:3], ("First Name", "firstname"), ("Last Name", "lastname"), ("Email",)),
        contacts,
        (*_COMMON, HOLDS_FROM, tests("bh@hubspot.", "emailmaria@hubspot.")),
        ("Lifecycle Stage", "lifecyclestage", "Contact owner", "Create Date",
         "Associated Company IDs (Primary)"),
        "language of the header",
    ),
    Preset(
        "hubspot_deals",
        "Won deals of HubSpot, CSV",
        ("transactions",),
        ((*_ID[:2], "Deal ID"), ("Deal Name", "dealname"), ("Deal Stage", "dealstage"),
         ("Close Date", "closedate"), ("Amount",)),
        deals,
        (
            *_COMMON,
            Parameter("won_stages", "list",
                      "Which stages mean that a deal is won, if the file has no `Is Closed Won`?",
                      default=(), column="Deal Stage"),
            Parameter("company_currency", "currency",
                      "Which is the company currency in HubSpot? Without an answer exchange rates "
                      "are dropped."),
            tests("test "),
        ),
        ("Deal owner", "Pipeline", "Is Closed Won", "Associated Company IDs (Primary)"),
        "whether Close Date has a time; how booleans are written",
    ),
)  # fmt: skip
