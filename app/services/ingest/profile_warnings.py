"""What is told of profiles that were accepted, but not as they were meant."""

from collections.abc import Sequence
from functools import partial

from app.deployment import Deployment
from app.lifecycle import profiles
from app.schemas.common.warnings import Warnings
from app.schemas.customers import ProfileWrite
from app.services.common import threads
from app.services.customers import contact_points, countries, found_by, search_rows
from app.services.ingest.profile_drafts import Draft

Contact = tuple[int, ProfileWrite, Draft]
"""Place of the item, what it says, and what then holds."""


def say_not_current(
    warnings: Warnings, index: int, profile: ProfileWrite, draft: Draft, *, is_news: bool
) -> None:
    """Warn of what was said of the past and is not what holds now."""
    if profile.valid_from is None or not is_news:
        return
    said = draft.new[-1].values
    if not any(profiles.same(draft.cells.get(cell), value) for cell, value in said.items()):
        detail = "What was said to be true since a later time holds now."
        warnings.add(index, "not_current", detail, "/valid_from")


async def say_unread(
    warnings: Warnings, written: Sequence[Contact], deployment: Deployment
) -> None:
    """Warn of what cannot be read, whether or not it is news."""
    contacts = []
    for index, profile, draft in written:
        if profile.phone is not None or profile.email is not None:
            contacts.append((index, profile, draft))
        if profile.country is not None and countries.code_of(profile.country) is None:
            warnings.add(index, "country_unread", _COUNTRY, "/country")
    work = partial(_say_unread, warnings, contacts, deployment.country)
    await threads.compute(search_rows.weight(len(contacts)), work)


def _say_unread(
    warnings: Warnings,
    contacts: Sequence[Contact],
    default_country: str | None,
) -> None:
    for index, profile, draft in contacts:
        if profile.email is not None and not contact_points.read_email(profile.email)[1]:
            warnings.add(index, "email_unread", "This is no e-mail address.", "/email")
        given = {"phone": profile.phone, "country": draft.cells.get("country")}
        phones = found_by.phones_of(given, default_country)
        if phones is not None and phones.unread:
            detail = (
                "This is no phone number of the customer's country, or of the deployment's."
                if phones.read == 0
                else f"{phones.unread} of {phones.read + phones.unread} numbers cannot be read."
            )
            warnings.add(index, "phone_unread", detail, "/phone")


_COUNTRY = "No code of ISO 3166-1, and no name of a country that we know."
