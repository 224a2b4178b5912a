"""What a customer is found by: one pure function from the profile to what is stored of that.

Who changes it, or what it calls, counts `DERIVATION` up: then all are derived anew.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from app.services.customers import contact_points, countries, names

DERIVATION = 1
LOOKED_AT = ("name", "email", "phone", "country")
"""The fields of the profile that it is derived from."""


class FoundBy(NamedTuple):
    """A row of `customer_search`, but for the customer."""

    email: str | None
    words: str
    numbers: str
    terms: tuple[str, ...]


class Derived(NamedTuple):
    """What a profile amounts to; `found_by` is None where there is nothing to go by."""

    phone_e164: str | None
    found_by: FoundBy | None


def derive(profile: Mapping[str, Any], default_country: str | None) -> Derived:
    """Derive it from what `LOOKED_AT` names."""
    name, email = profile["name"], profile["email"]
    phones = phones_of(profile, default_country)
    words = names.words_of(name or "")
    terms = names.terms_of(words)
    numbers = ""
    if phones is not None:
        numbers = phones.numbers
        terms |= contact_points.grams_of(numbers)
    if not terms and email is None:
        return Derived(None, None)
    address = None if email is None else contact_points.read_email(email)[0]
    found_by = FoundBy(address, words.text(), numbers, tuple(sorted(terms)))
    return Derived(None if phones is None else phones.e164, found_by)


def phones_of(
    profile: Mapping[str, Any], default_country: str | None
) -> contact_points.Phones | None:
    """Read the phone of a profile, by the country of the profile and else the deployment's."""
    if profile.get("phone") is None:
        return None
    country = profile.get("country")
    regions = (None if country is None else countries.code_of(country), default_country)
    known = tuple(dict.fromkeys(region for region in regions if region is not None))
    return contact_points.read_phones(profile["phone"], known)
