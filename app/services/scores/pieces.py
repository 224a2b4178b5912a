"""Pieces of answers about scores as JSON, in UTF-8: what cards and lists write alike."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from app.lifecycle.policy import Option
from app.money import CENTS, UNITS
from app.schemas.common.types import format_amount
from app.services.models.fitted_models import FittedModel
from app.services.scores import card_sentences, reason_texts
from app.services.scores.card_sentences import CardFigures
from app.services.scores.reason_inputs import QUOTED, ReasonInputs

Kept: TypeAlias = dict[tuple[Any, ...], bytes]
"""Pieces by what they are made of."""
NULL = b"null"
_RHYTHM = b'{"status":"%b","usual_gap_days":%b,"days_silent":%d,"chance_if_active":%b}'
_SENTENCE = b'{"en":%b,"zh":%b}'

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def written(value: Any) -> bytes:
    """Return a text, or lists and objects of such."""
    return NULL if value is None else _encode(value).encode()


def number(value: float | None) -> bytes:
    """Return a finite number."""
    return NULL if value is None else repr(value).encode()


def money(amount: Decimal | None, currency: str) -> bytes:
    """Return an amount with its currency."""
    return NULL if amount is None else _money(format_amount(amount), currency)


def cents(count: int, currency: str) -> bytes:
    """Return so many cents as `money` does."""
    whole, rest = divmod(abs(count), CENTS)
    return _money(f"{'-' * (count < 0)}{whole}.{rest:02}", currency)


def units(count: int, currency: str) -> bytes:
    """Return so many of the smallest units of money as `money` does."""
    of_cent = UNITS // CENTS
    if not count % of_cent:
        return cents(count // of_cent, currency)
    whole, rest = divmod(abs(count), UNITS)
    return _money(f"{'-' * (count < 0)}{whole}.{rest:04}".rstrip("0"), currency)


def _money(amount: str, currency: str) -> bytes:
    return f'{{"amount":"{amount}","currency":"{currency}"}}'.encode()


def rhythm(status: str, usual_gap: float | None, silent: int, chance: float | None) -> bytes:
    """Return where a customer stands against the own usual gap."""
    return _RHYTHM % (status.encode(), number(usual_gap), silent, number(chance))


def sentence(card: CardFigures) -> bytes:
    """Return a card in words."""
    told = card_sentences.sentence(card)
    return _SENTENCE % (written(told["en"]), written(told["zh"]))


def reasons(
    kept: Kept, model: FittedModel, day: int, parts: Mapping[str, float], known: Mapping[str, float]
) -> bytes:
    """Return what moves the risk of one customer, as `reason_texts.tell` has it.

    What is said of a cause, such as of 62 days of silence at one age, is `kept`: of one model and
    day.
    """
    told = [
        (-abs(part), place, _reason(kept, model, day, code, part, known))
        for place, (code, part) in enumerate(parts.items())
        if part or model.risk is None
    ]
    told.sort()
    return b"[%b]" % b",".join([each for _, _, each in told])


def _reason(
    kept: Kept, model: FittedModel, day: int, code: str, part: float, known: Mapping[str, float]
) -> bytes:
    key = (code, part > 0, part < 0, *[known[name] for name in QUOTED[code]])
    found = kept.get(key)
    if found is None:
        told = reason_texts.reason(ReasonInputs(model, day, known), code, part)
        found = kept[key] = written(told)[1:]
    return b'{"code":"%b","contribution":%b,%b' % (code.encode(), number(part), found)


def actions(held: Sequence[Option]) -> bytes:
    """Return what to do next."""
    return written([{"code": each.code, "name": dict(each.name)} for each in held])
