"""What is remembered of a kernel is what it says: the twin evaluates each row for itself."""

from collections.abc import Iterator

import numpy as np
import pytest

from app.scoring.purchases import bg_nbd, cnbd_k, mbg_nbd, remembered
from app.scoring.purchases.purchase_model import PurchaseModel

MODELS: list[PurchaseModel] = [
    bg_nbd.Model.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426),
    mbg_nbd.Model.from_params(r=0.525, alpha=6.183, a=0.891, b=1.614),
    cnbd_k.Model.from_params(k=4, r=12.6, alpha=131.3, a=2668.5, b=22026.0),
    cnbd_k.Model.from_params(k=3, r=0.6, alpha=2.1, a=0.7, b=1.9, modified=False),
]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    remembered.forget()
    yield
    remembered.forget()


def asked(model: PurchaseModel, rows: np.ndarray) -> np.ndarray:
    x, t_x, age = rows
    return np.stack(
        [
            model.purchases_if_any(x, t_x, age, horizon=90.0),
            model.discounted_if_any(
                x, t_x, age, annual_discount=0.1, periods_per_year=365.25, horizon=365.0
            ),
        ]
    )


@pytest.mark.parametrize("model", MODELS)
def test_single_customers_get_what_an_evaluation_of_their_own_gives(model: PurchaseModel) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 30, 40).astype(float)
    age = np.exp(rng.uniform(0, np.log(3000), 40)).round() + 1
    age[:3] = 0.0, 128.0, 4096.0
    x[0] = 0.0
    t_x = np.where(x > 0, (age * rng.uniform(0, 1, 40)).round(), 0.0)
    x, t_x = np.where(age > 0, x, 0.0), np.where(age > 0, t_x, 0.0)
    rows = [np.array([[x[n]], [t_x[n]], [age[n]]]) for n in range(40)]
    slow = [asked(model, row) for row in rows]  # nothing is remembered of what is new
    assert remembered.count() == 0
    with remembered.asked_again():
        fast = [asked(model, row) for row in rows]
        again = [asked(model, row) for row in rows]
    assert remembered.count() > 0
    np.testing.assert_array_equal(again, fast)
    np.testing.assert_allclose(fast, slow, rtol=1e-12)
    together = asked(model, np.concatenate(rows, axis=1))
    np.testing.assert_allclose(together, np.concatenate(slow, axis=1), rtol=1e-12)


def test_another_parameter_is_another_kernel() -> None:
    one, other = MODELS[0], bg_nbd.Model.from_params(r=0.25, alpha=4.414, a=0.793, b=2.426)
    row = np.array([[3.0], [40.0], [60.0]])
    with remembered.asked_again():
        first, second = asked(one, row), asked(other, row)
    assert (first != second).all()
    np.testing.assert_allclose(second, asked(other, row), rtol=1e-12)
    later = one.purchases_if_any(*row, horizon=30.0)
    assert (later < first[0]).all()


def test_it_never_holds_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "KEPT", 20)
    for x in range(1, 61):
        row = np.array([[float(x)], [50.0], [60.0]])
        with remembered.asked_again():
            asked(MODELS[1], row)
        assert remembered.count() <= 20
