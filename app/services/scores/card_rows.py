"""Score cards in JSON, in UTF-8, written from columns, part by part.

What the cards of one answer say alike is written once, and what is said of the causes of risk is
kept by model and day. The same one by one, the slow way, is in `tests/slow_cards.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app import money
from app.deployment import Deployment
from app.lifecycle.dated import Ints
from app.money import CENTS
from app.schemas.common.encoding import to_json
from app.scoring.churn import rhythm
from app.scoring.rfm import rfm
from app.scoring.spend import clv
from app.services.models import clv_terms, model_responses
from app.services.models.model_documents import MARGIN
from app.services.scores import calls, intervals, pieces
from app.services.scores.card_sentences import CardFigures
from app.services.scores.model_scores import Scores
from app.services.scores.pieces import NULL, written
from app.services.scores.risk_answers import kind_of_risk
from app.services.stages import next_actions
from app.services.stages.placement import Placement

CENT: Final = Decimal("0.01")
_WITHHELD: Final = b'"withheld":{"p_alive":"no_dropout_identified"}'
_MOST_PIECES: Final = 20_000
_FACTS = (
    b'{"customer_id":%b,"status":"%b","stage":"%b","days_since_last_purchase":%b,'
    b'"purchase_days":%d,"mean_spend":%b,"revenue":%b,"refund_excess":%b,'
)
_TOLD = b'"sentence":%b,"next_actions":%b,"churn_record":%b,"segments":%b,'
_UNSCORED = (
    b'"rhythm":null,"call_reasons":[],"r":null,"f":null,"m":null,"rfm_score":null,'
    b'"rfm_group":null,"rfm_class8":null,"rfm_few_classes":[],"model_inputs":null,'
    b'"p_alive":null,"expected_purchases":null,"clv":null,"value_tier":null,"churn_risk":null,'
    b'"value_to_save":%b,"withheld":{},'
)
_RFM = b'"r":%d,"f":%d,"m":%d,"rfm_score":%d,"rfm_group":"%b","rfm_class8":"%b",'
_PURCHASES = (
    b'"model_inputs":{"x":%d,"t_x":%a,"T":%a,"unit":"%b"},"p_alive":%b,'
    b'"expected_purchases":{"horizon_days":%d,"value":%a,"interval":{"low":%d,"high":%d}},'
)
_RISK = b'"churn_risk":{"probability":%a,"base_log_odds":%a,"log_odds":%a,"reasons":%b,%b,'
_WORTH = (
    b'"clv":{"value":%b,"interval":{"low":%b,"high":%b},%b,"value_tier":"%b","value_to_save":%b,'
)


def write(
    deployment: Deployment,
    placement: Placement,
    scores: Scores | None,
    actions: Ints,
    why: Mapping[str, Mapping[str, Any]],
    alike: Mapping[str, Any],
    segments: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[bytes]:
    """Yield the card of each customer; `scores` are those of the buyers, None without a model.

    `actions` are masks as of `next_actions.of_stages`, `why` the churn records of those who have
    one, and `alike` is what all cards say. `segments` are those of who is in any; None if they are
    not known of the instant.
    """
    scored = iter(()) if scores is None else zip(
        _scored(deployment, scores), _figures(deployment, scores), strict=True
    )  # fmt: skip
    unscored = [_UNSCORED % each for each in (pieces.cents(0, deployment.currency), NULL)]
    shared, rest = _Shared(placement), to_json(alike)[1:]
    status = _status(scores)
    rows = zip(
        placement.population.customer_ids,
        placement.bought.tolist(),
        placement.stage.tolist(),
        placement.days_since_last_purchase.tolist(),
        actions.tolist(),
        _sums(deployment, placement),
        strict=True,
    )
    for customer_id, bought, stage, silent, mask, sums in rows:
        if bought and scores is not None:
            model, figures = next(scored)
        else:
            model = unscored[bought]
            figures = {"days_silent": silent if bought else None}
        days, amounts = sums
        own = status if bought else b"never_purchased"
        facts = written(customer_id), own, shared.codes[stage], _whole(silent, known=bought), days
        figures |= {"stage": placement.policy.described[stage].name, "purchase_days": days}
        record = why.get(customer_id)
        told = (
            pieces.sentence(CardFigures(**figures)),
            shared.actions(stage, mask),
            NULL if record is None else to_json(record),
            NULL if segments is None else to_json(segments.get(customer_id, ())),
        )
        yield b"".join((_FACTS % (*facts, *amounts), model, _TOLD % told, rest))


class _Shared:
    """What customers of one stage of a policy share."""

    def __init__(self, placement: Placement) -> None:
        self._described = placement.policy.described
        self.codes = [stage.code.encode() for stage in self._described]
        self._actions: dict[tuple[int, int], bytes] = {}

    def actions(self, stage: int, mask: int) -> bytes:
        found = self._actions.get((stage, mask))
        if found is None:
            held = next_actions.held(self._described[stage].actions, mask)
            found = self._actions[stage, mask] = pieces.actions(held)
        return found


def _status(scores: Scores | None) -> bytes:
    """Return how far the figures of buyers can be trusted."""
    if scores is None:
        return b"no_model"
    return b"insufficient_history" if scores.model.status == "fallback" else b"ok"


def _whole(value: int, *, known: bool) -> bytes:
    return b"%d" % value if known else NULL


def _sums(
    deployment: Deployment, placement: Placement
) -> Iterator[tuple[int, tuple[bytes, bytes, bytes]]]:
    """Yield purchase days, and what was spent a day, paid, and given back beyond that."""
    column, currency = placement.population.summaries.column, deployment.currency
    names = "purchase_days", "revenue", "paid_days", "refund_excess"
    for days, revenue, paid, excess in zip(*(column(name).tolist() for name in names), strict=True):
        mean = None
        if paid:
            mean = (money.to_amount(revenue) / paid).quantize(CENT)
        yield (
            days,
            (
                pieces.money(mean, currency),
                pieces.units(revenue, currency),
                pieces.units(excess, currency) if excess else NULL,
            ),
        )


def _scored(deployment: Deployment, scores: Scores) -> Iterator[bytes]:
    """Yield what the model says of each buyer."""
    model = scores.model
    few = written(model_responses.few_classes(model.rfm_classes))
    withheld = b'"withheld":{}' if model.dropout_identified else _WITHHELD
    alike = b'"rfm_few_classes":%b,%b,' % (few, withheld)
    parts = (
        _rhythms(scores), _rfm(scores), _purchases(scores), _risks(scores),
        _worth(deployment, scores),
    )  # fmt: skip
    for each in zip(*parts, strict=True):
        yield b"".join((*each, alike))


def _rhythms(scores: Scores) -> Iterator[bytes]:
    called = [written(list(each)) for each in calls.SETS]
    for status, gap, silent, chance, why in _standing(scores):
        told = pieces.rhythm(status, gap, silent, chance)
        yield b'"rhythm":%b,"call_reasons":%b,' % (told, called[why])


def _standing(scores: Scores) -> Iterator[tuple[str, float | None, int, float, int]]:
    """Yield the rhythm of each buyer, and the number of the reasons to call."""
    placement = scores.placement
    gaps = placement.usual_gap_days
    return zip(
        [rhythm.STATUSES[code] for code in scores.rhythm.tolist()],
        [None] * len(placement) if gaps is None else _numbers(gaps),
        placement.days_since_last_purchase.tolist(),
        _numbers(scores.chance_if_active),
        scores.calls.tolist(),
        strict=True,
    )


def _rfm(scores: Scores) -> Iterator[bytes]:
    groups, classes = ([each.encode() for each in names] for names in (rfm.GROUPS, rfm.CLASSES8))
    columns = scores.r, scores.f, scores.m, scores.group, scores.class8
    for r, f, m, group, of_8 in zip(*(column.tolist() for column in columns), strict=True):
        yield _RFM % (r, f, m, r + f + m, groups[group], classes[of_8])


def _purchases(scores: Scores) -> Iterator[bytes]:
    """Yield what the model of purchases sees of each buyer, and expects."""
    x, t_x, age = scores.inputs.history
    unit, horizon = scores.model.time_unit.encode(), scores.horizon_days
    identified = scores.model.dropout_identified
    alive = _numbers(scores.p_alive) if identified else [None] * len(x)
    low, high, _ = intervals.of_purchases(scores)
    rows = zip(
        np.asarray(x, np.int64).tolist(), _numbers(t_x), _numbers(age), alive,
        _numbers(scores.expected_purchases), _numbers(low), _numbers(high), strict=True,
    )  # fmt: skip
    for n, last, total, chance, expected, least, most in rows:
        yield _PURCHASES % (
            n, last, total, unit, pieces.number(chance), horizon, expected, least, most
        )  # fmt: skip


def _risks(scores: Scores) -> Iterator[bytes]:
    """Yield the churn risk of each buyer with its reasons."""
    model, day, found = scores.model, scores.inputs.as_of.day, scores.reasons
    rest, base = to_json(kind_of_risk(model, scores.horizon_days))[1:], float(found.base)
    features, kept = vars(scores.inputs.features), _kept(model.model_id, day)
    if len(kept) > _MOST_PIECES:
        kept.clear()
    rows = zip(
        _numbers(scores.probability),
        _numbers(found.total),
        zip(*map(_numbers, found.parts.values()), strict=True),
        zip(*(column.tolist() for column in features.values()), strict=True),
        strict=True,
    )
    for probability, total, own, seen in rows:
        parts = dict(zip(found.parts, own, strict=True))
        reasons = pieces.reasons(kept, model, day, parts, dict(zip(features, seen, strict=True)))
        yield _RISK % (probability, base, total, reasons, rest)


@lru_cache(maxsize=4)
def _kept(model_id: str, day: int) -> pieces.Kept:
    """Return what was said of the causes of risk by a model on a day; who says more puts it in."""
    del model_id, day
    return {}


def _worth(deployment: Deployment, scores: Scores) -> Iterator[bytes]:
    """Yield the lifetime value of each buyer with what to beware of in it, and what to save."""
    model, terms, sums = scores.model, scores.clv_terms, scores.inputs.margins
    values, to_save = (money.cents(each).tolist() for each in (scores.clv, scores.value_to_save))
    own = np.ones(len(values), np.int64)
    if terms.basis == MARGIN and sums is not None:
        own = (sums.purchases > 0).astype(np.int64)
    of_all = clv_terms.head(model, terms, ["population_margin_rate"])
    told = [to_json(each)[1:] for each in (of_all, clv_terms.head(model, terms))]
    tiers, currency = [each.encode() for each in clv.TIERS], deployment.currency
    low, high, _ = intervals.of_values(scores)
    ends = (money.cents(each).tolist() for each in (low, high))
    amounts = zip(values, *ends, to_save, strict=True)
    for each, knows, tier in zip(amounts, own.tolist(), scores.tier.tolist(), strict=True):
        shown, least, most, saved = (pieces.cents(one, currency) for one in each)
        yield _WORTH % (shown, least, most, told[knows], tiers[tier], saved)


def _figures(deployment: Deployment, scores: Scores) -> Iterator[dict[str, Any]]:
    """Yield what the sentence of each buyer is made of, but for stage and purchase days."""
    saved, expected = money.cents(scores.value_to_save), scores.expected_purchases
    rows = zip(_standing(scores), saved.tolist(), expected.tolist(), strict=True)
    unsure = scores.model.little_history
    for (status, gap, silent, chance, why), cents, purchases in rows:
        yield {
            "days_silent": silent,
            "usual_gap_days": gap,
            "rhythm": status,
            "chance_if_active": chance,
            "expected_purchases": purchases,
            "horizon_days": scores.horizon_days,
            "call_reasons": calls.SETS[why],
            "to_save": (Decimal(cents) / CENTS, deployment.currency),
            "uncertain": unsure,
        }


def _numbers(values: NDArray[Any]) -> list[float]:
    """Return finite numbers as such; any other would be a fault of ours, and is no JSON."""
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite")
    found: list[float] = np.asarray(values, np.float64).tolist()
    return found
