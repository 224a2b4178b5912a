"""Layouts that look like a known one and are another: refused, with what to export instead."""

from typing import Final, NamedTuple

from app.mappings.detection import Detected
from app.mappings.faults import UnreadableFile


class LookAlike(NamedTuple):
    """A layout that no mapping is ready for."""

    title: str
    all_of: tuple[str, ...]
    none_of: tuple[str, ...]
    hint: str


LOOK_ALIKES: Final = (
    LookAlike(
        "a report of Salesforce",
        ("Opportunity Name", "Stage", "Close Date"),
        ("Id", "Deal Stage"),
        "export opportunities with API names, by Data Loader or `sf data query`: a report has no "
        "ids, and dates and numbers of its reader's country",
    ),
    LookAlike(
        "a report of Salesforce",
        ("Opportunity Owner", "Account Name"),
        ("Id",),
        "export opportunities with API names, by Data Loader or `sf data query`",
    ),
    LookAlike(
        "the report of orders of WooCommerce Analytics",
        ("Order #", "Status", "Product(s)", "Items sold"),
        ("order_id",),
        "export orders themselves: the report has neither ids nor e-mails of customers",
    ),
    LookAlike(
        "an export of Bigin",
        ("Deal Id", "Sub-Pipeline"),
        ("Record Id",),
        "it is no Zoho CRM: say what its columns are in a mapping of your own",
    ),
    LookAlike(
        "an export of Bigin",
        ("Contact Id", "Company Name.id"),
        ("Record Id",),
        "it is no Zoho CRM: say what its columns are in a mapping of your own",
    ),
    LookAlike(
        "a summary of payouts of Stripe",
        ("payout_id", "payout_expected_arrival_date"),
        (),
        "export payments, or the report `balance_change_from_activity.itemized`",
    ),
)


def refuse_look_alikes(detected: Detected) -> None:
    """Raise `UnreadableFile` if a file has one of these layouts."""
    names = {name.strip().casefold() for name in detected.columns}
    for each in LOOK_ALIKES:
        there = {name.casefold() for name in each.all_of} <= names
        if there and not {name.casefold() for name in each.none_of} & names:
            raise UnreadableFile("report_export", f"the file looks like {each.title}", each.hint)
