"""Personal data: which fields hold it, and what is shown of them to who may not read it.

Shapes that hold such fields mask themselves, whichever way they came to be answered. `deps` says at
each request whether its key may read them; what runs beside requests reads all.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

READ_PII = "customers:read_pii"
FIELDS = ("name", "email", "phone", "phone_e164", "birth_date", "country_text", "attributes")
"""Of a customer. Attributes are free: nobody knows what is in them, and their values go too."""
DESCRIPTION = (
    f"fields that have a value which is not shown, as the key lacks the scope `{READ_PII}`: they "
    "are null here"
)
_ATTRIBUTE = "attributes."
_shown: ContextVar[bool] = ContextVar("personal_data_is_shown", default=True)


def show(*, allowed: bool) -> None:
    """Say whether what is answered from now on, in this request, may hold personal data."""
    _shown.set(allowed)


def is_shown() -> bool:
    return _shown.get()


def is_personal(cell: str, value: object) -> bool:
    """Say whether a cell of a profile holds personal data.

    A country that could not be read may be a whole address; one that is a code is none.
    """
    if cell == "country":
        return not (isinstance(value, str) and len(value) == 2)
    return cell in FIELDS or cell.startswith(_ATTRIBUTE)


def without_values(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return dict.fromkeys(attributes)
