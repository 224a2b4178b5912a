"""Reasons in words: each tells the two numbers that it compares, and which way they move it."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from app.days import AsOf
from app.scoring.churn.churn_risk import CAUSES, ChurnRisk
from app.scoring.churn.design import ADDITIVE, TOGETHER, Scales
from app.scoring.histories.features import Features
from app.scoring.purchases.registry import MODELS
from app.services.models.churn_features import Known
from app.services.models.fitted_models import FittedModel
from app.services.models.model_inputs import ModelInputs
from app.services.scores import reason_texts
from app.services.scores.wording import apart
from tests.database import NOW
from tests.kept import MODEL

DAY = 20_000
PEOPLE = 60
BASELINE = {"process": 0.6, "overdue": 1.2, "silent": 0.4, "tenure": 0.1, "frequency": -0.3}
REFERENCES = ((2.0, 150.0, 200.0), (0.0, 0.0, 90.0), (5.0, 400.0, 402.0))
FALLING = {"regularity"}
"""Whose features fall with the value that is told; the others rise with it."""
PERCENT = {"satisfaction"}


def random_people(rng: np.random.Generator) -> Features:
    x = rng.choice([0, 0, 1, 2, 3, 8], PEOPLE).astype(float)
    age = rng.integers(1, 700, PEOPLE).astype(float)
    x = np.minimum(x, age)
    t_x = np.where(x > 0, np.maximum(x, np.floor(age * rng.random(PEOPLE))), 0.0)
    shares = [rng.dirichlet(np.ones(max(int(n), 1)) * 3) for n in x]
    gaps = [np.maximum(share * last, 1e-3) for share, last in zip(shares, t_x, strict=True)]

    def some(column: Any) -> Any:
        return np.where(rng.random(PEOPLE) < 0.3, np.nan, column)

    def place(back: int) -> Any:
        return [gap[-back] if n >= back else np.nan for gap, n in zip(gaps, x, strict=True)]

    return Features.of(
        x, t_x, age,
        sum_log_gaps=[np.log(gap).sum() if n else 0.0 for gap, n in zip(gaps, x, strict=True)],
        gap_1=place(1), gap_2=place(2), gap_3=place(3),
        value_1=some(rng.integers(0, 900_000, PEOPLE)),
        value_2=some(rng.integers(0, 900_000, PEOPLE)),
        value_3=some(rng.integers(0, 900_000, PEOPLE)),
        mean_value=rng.integers(1, 900_000, PEOPLE),
        refunds=rng.choice([0, 0, 1, 2, 21], PEOPLE),
        complaints=rng.choice([0, 0, 1, 3], PEOPLE),
        satisfaction=some(rng.random(PEOPLE)),
        contact_silence=some(rng.integers(0, 200, PEOPLE)),
    )  # fmt: skip


def model_of(risk: ChurnRisk | None, reference: tuple[float, float, float]) -> FittedModel:
    return FittedModel(
        model_id="model_of_words", kind="mbg_nbd", status="ok", as_of=NOW, time_unit="day",
        purchases=MODEL.purchases, churn=MODEL.purchases, spend=MODEL.spend, rfm_cuts=None,
        rfm_means=None, tier_cuts=None, gap_days=44.0, reference_days=reference, horizon_days=90,
        risk=risk,
    )  # fmt: skip


def risk_of(
    rng: np.random.Generator, reference: tuple[float, float, float]
) -> tuple[ChurnRisk, dict[str, float]]:
    """Return a risk whose further causes weigh either way, as the data may have it."""
    weights = {name: float(rng.choice([-1, 1]) * rng.uniform(0.1, 1)) for name in ADDITIVE}
    return ChurnRisk(
        kind="landmark", process_kind="mbg_nbd", process=MODEL.purchases,
        scales=Scales(gap=44.0, value=300_000.0, satisfaction=0.7, contact=3.0),
        intercept=-0.3, weights=BASELINE | weights, label_window=60, anchor=(2.0, 150.0, 200.0),
        reference=reference,
    ), weights  # fmt: skip


def explained(model: FittedModel, people: Features) -> list[list[dict[str, Any]]]:
    # Words look at the columns alone, and never at the population that they came from.
    inputs = ModelInputs(model, None, AsOf(NOW, DAY), Known(people, np.zeros(PEOPLE, np.bool_)))  # type: ignore[arg-type]
    if model.risk is not None:
        reasons = model.risk.reasons(people, horizon=90)
    else:
        object.__setattr__(inputs, "history", (people.x, people.t_x, people.T))
        reasons = inputs.reasons(90)
    return [reason_texts.explain(inputs, reasons, row) for row in range(len(people))]


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"\d+(?:\.\d+)?", text)]


def check_words(reason: dict[str, Any]) -> None:
    """The text holds value and reference, in their order, and says which way they move the risk."""
    code, part, text = reason["code"], reason["contribution"], reason["text"]
    for language, raises, lowers in (
        ("en", ": raises the risk", ": lowers the risk"),
        ("zh", "，使风险升高", "，使风险降低"),
    ):
        assert (text[language].endswith(raises), text[language].endswith(lowers)) == (
            part > 0, part < 0,
        ), reason  # fmt: skip
        assert "nan" not in text[language]
        assert not re.search(r"(?<![\d.])1 \w+s\b", text[language]), text
        assert (
            (reason["value"] is None)
            == (reason["reference"] is None)
            == (not numbers(text[language]))
        )
        if reason["value"] is None:
            continue
        told = [each for each in numbers(text[language]) if each != 90 or code != "complaints"]
        scale = 100 if code in PERCENT else 1
        own, other = scale * reason["value"], scale * reason["reference"]
        assert told == [pytest.approx(own, abs=0.51), pytest.approx(other, abs=0.51)], reason
        if abs(own - other) > 1e-3:
            assert np.sign(told[0] - told[1]) == np.sign(own - other), reason


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("seed", range(4))
def test_words_hold_the_numbers_that_the_reason_compares(
    seed: int, reference: tuple[float, float, float]
) -> None:
    rng = np.random.default_rng(900 + seed)
    risk, weights = risk_of(rng, reference)
    seen = set()
    for told in explained(model_of(risk, reference), random_people(rng)):
        for reason in told:
            check_words(reason)
            seen.add(reason["code"])
            code, part = reason["code"], reason["contribution"]
            if reason["value"] is None:
                continue
            difference = np.sign(reason["value"] - reason["reference"])
            if code in ("age", "inactivity"):
                assert np.sign(part) == difference, reason
            elif code in weights:
                way = -1 if code in FALLING else 1
                assert np.sign(part) == way * difference * np.sign(weights[code]), reason
    assert seen | {TOGETHER} == set(CAUSES)


@pytest.mark.parametrize("reference", REFERENCES)
def test_words_of_a_model_of_purchases_alone_hold_its_numbers(
    reference: tuple[float, float, float],
) -> None:
    people = random_people(np.random.default_rng(7))
    for x, told in zip(people.x, explained(model_of(None, reference), people), strict=True):
        assert {reason["code"] for reason in told} == {"purchases", "age", "inactivity"}
        for reason in told:
            check_words(reason)
            if reason["code"] == "inactivity":
                difference = np.sign(reason["value"] - reason["reference"])
                assert np.sign(reason["contribution"]) in ((0,) if x == 0 else (0, difference))


def test_what_moves_the_risk_only_together_has_words() -> None:
    """Who buys at equal gaps is told apart by where in a gap they stand."""
    rng, reference = np.random.default_rng(0), (6.0, 180.0, 182.0)
    risk = dataclasses.replace(
        risk_of(rng, reference)[0], process_kind="mbg_cnbd_k", weights={"process": 1.0},
        process=MODELS["mbg_cnbd_k"].build(k=12, r=40.0, alpha=400.0, a=1.0, b=20.0),
    )  # fmt: skip
    people = explained(model_of(risk, reference), random_people(rng))
    told = [reason for one in people for reason in one]
    for reason in told:
        check_words(reason)
    assert TOGETHER in {reason["code"] for reason in told}


def test_who_is_as_the_reference_has_no_reason_to_tell() -> None:
    risk, _ = risk_of(np.random.default_rng(3), REFERENCES[0])
    x, t_x, age = REFERENCES[0]
    people = Features.of([x], [t_x], [age])
    assert explained(model_of(risk, REFERENCES[0]), people) == [[]]


@pytest.mark.parametrize(
    ("value", "reference", "least", "shown"),
    [
        (38, 12, 0, ("38", "12")),
        (77, 76.6, 0, ("77", "76.6")),
        (10.36, 10.32, 0, ("10.4", "10.3")),
        (1, 1, 0, ("1", "1")),
        (0.004, 0.001, 2, ("0.004", "0.001")),
        (20.001, 20.0, 2, ("20.001", "20.000")),
        (5.000001, 5, 2, ("5.00", "5.00")),
        (100, 20, 0, ("100", "20")),
    ],
)
def test_two_numbers_have_the_digits_that_tell_them_apart(
    value: float, reference: float, least: int, shown: tuple[str, str]
) -> None:
    assert apart(value, reference, least) == shown
