"""What `benchmarks.scoring` compares with: lifetimes, pymc-marketing, polars and pandas."""

import importlib.util
import logging
from collections.abc import Callable
from typing import Any

import lifetimes
import numpy as np
import pandas as pd

from app.scoring.purchases import bg_nbd, mbg_nbd, pareto_nbd
from benchmarks.measured import Contender
from benchmarks.populations import Log, Population

HAS_PYMC = importlib.util.find_spec("pymc_marketing") is not None
KINDS = {
    "BG/NBD": ("BetaGeoFitter", "BetaGeoModel", bg_nbd),
    "MBG/NBD": ("ModifiedBetaGeoFitter", "ModifiedBetaGeoModel", mbg_nbd),
    "Pareto/NBD": ("ParetoNBDFitter", "ParetoNBDModel", pareto_nbd),
}
DISCOUNT = 0.01  # a month of 30 days, as lifetimes has it


def spenders(given: Population) -> tuple[np.ndarray, np.ndarray]:
    """Return those a spend model can be fitted to, and no others."""
    paid = (given.paid > 0) & (given.mean_value > 0)
    return given.paid[paid], given.mean_value[paid]


def own_likelihood(fitter: Any, data: tuple[np.ndarray, ...], *, summed: bool) -> float:
    """Return what lifetimes says of its own parameters; where not a sum it is a mean."""
    n, params = data[0].size, fitter.params_.to_numpy()
    negative = fitter._negative_log_likelihood  # noqa: SLF001 - nothing public tells it unscaled
    value = negative(params if summed else np.log(params), *data, np.ones(n), 0.0)
    return -float(value) * (1 if summed else n)


def lifetimes_fit(kind: str) -> Contender:
    def start(given: Population) -> Callable[[], Any]:
        return lambda: getattr(lifetimes, KINDS[kind][0])().fit(given.x, given.t_x, given.T)

    def digest(fitter: Any, given: Population) -> dict[str, float]:
        history = given.x, given.t_x, given.T
        return {"log_likelihood": own_likelihood(fitter, history, summed=kind == "Pareto/NBD")}

    return Contender("lifetimes", start, digest)


def lifetimes_spend() -> Contender:
    def start(given: Population) -> Callable[[], Any]:
        x, mean = spenders(given)
        return lambda: lifetimes.GammaGammaFitter().fit(x, mean)

    def digest(fitter: Any, given: Population) -> dict[str, float]:
        return {"log_likelihood": own_likelihood(fitter, spenders(given), summed=False)}

    return Contender("lifetimes", start, digest)


def lifetimes_card(params: dict[str, float], spend: dict[str, float], ahead: float) -> Contender:
    """P(no purchase) is left out: lifetimes has none for the BG/NBD."""

    def start(given: Population) -> Callable[[], Any]:
        model, values = lifetimes.BetaGeoFitter(), lifetimes.GammaGammaFitter()
        model.params_, values.params_ = pd.Series(params), pd.Series(spend)
        model.predict = model.conditional_expected_number_of_purchases_up_to_time
        x, t_x, T, z = map(pd.Series, (given.x, given.t_x, given.T, given.mean_value))
        return lambda: {
            "p_alive": model.conditional_probability_alive(x, t_x, T),
            "expected": model.predict(ahead, x, t_x, T),
            "spend": values.conditional_expected_average_profit(x, z),
            "clv": values.customer_lifetime_value(
                model, x, t_x, T, z, time=12, discount_rate=DISCOUNT, freq="D"
            ),
        }

    return Contender("lifetimes", start, lambda card, _: totals(card))


def totals(columns: dict[str, Any]) -> dict[str, float]:
    return {name: float(np.sum(np.asarray(column))) for name, column in columns.items()}


def pymc_fit(kind: str) -> Contender:
    """MAP under its default priors, which are informative: not the maximum of the likelihood."""

    def start(given: Population) -> Callable[[], Any]:
        from pymc_marketing import clv  # noqa: PLC0415

        logging.disable()
        data = pd.DataFrame(
            {"customer_id": np.arange(given.n), "frequency": given.x, "recency": given.t_x,
             "T": given.T}
        )  # fmt: skip

        def work() -> Any:
            model = getattr(clv, KINDS[kind][1])(data=data)
            model.fit(method="map", progressbar=False)
            return model

        return work

    def digest(model: Any, given: Population) -> dict[str, float]:
        ours = KINDS[kind][2].Model
        params = {name: float(model.fit_result[name].mean()) for name in ours.names}
        each = ours.from_params(**params).log_likelihood_each(given.x, given.t_x, given.T)
        return {"log_likelihood": float(each.sum())}

    return Contender("pymc-marketing", start, digest)


def polars_summary(*, packed: bool) -> Contender:
    """Purchase days by customer, then customers.

    Packed, it is given our own trick by hand: one sort of one integer for customer and day.
    """

    def start(given: Log) -> Callable[[], Any]:
        import polars as pl  # noqa: PLC0415 - its threads do not survive a fork

        frame = pl.DataFrame({"customer": given.customer, "day": given.day, "amount": given.amount})
        first, last, total = pl.col("day").min(), pl.col("day").max(), pl.col("amount").sum()
        key, span = pl.col("key"), given.as_of
        value = pl.col("amount").min_by("day")
        if packed:
            days = frame.lazy().select("amount", key=pl.col("customer") * span + pl.col("day"))
            days = days.sort("key").with_columns(key.set_sorted())
            days = days.group_by("key", maintain_order=True).agg(total)
            days = days.select("amount", customer=key // span, day=key % span)
            days = days.with_columns(pl.col("customer").set_sorted())
            first, last = pl.col("day").first(), pl.col("day").last()
            value = pl.col("amount").first()
        else:
            days = frame.lazy().group_by("customer", "day").agg(total)
        population = days.group_by("customer", maintain_order=packed).agg(
            x=pl.len() - 1, first=first, last=last, total=total, value=value
        )
        columns = population.select(
            "customer",
            "x",
            t_x=pl.col("last") - pl.col("first"),
            T=span - pl.col("first"),
            mean_value=pl.when(pl.col("x") > 0)
            .then((pl.col("total") - pl.col("value")) / pl.col("x"))
            .otherwise(0.0),
        )
        return columns.collect

    def digest(table: Any, _: Log) -> dict[str, float]:
        return totals({name: table[name].to_numpy() for name in ("x", "t_x", "T", "mean_value")})

    return Contender("polars, one packed sort" if packed else "polars", start, digest)


def pandas_summary() -> Contender:
    def start(given: Log) -> Callable[[], Any]:
        frame = pd.DataFrame({"customer": given.customer, "day": given.day, "amount": given.amount})

        def work() -> dict[str, Any]:
            # One key for customer and day is faster than two.
            key = frame["customer"] * given.as_of + frame["day"]
            days = frame["amount"].groupby(key).sum()
            customer = days.index.to_numpy() // given.as_of
            day = days.index.to_numpy() - customer * given.as_of
            population = pd.DataFrame({"customer": customer, "day": day, "amount": days.to_numpy()})
            found = population.groupby("customer").agg(
                n=("day", "size"), first=("day", "first"), last=("day", "last"),
                total=("amount", "sum"), value=("amount", "first"),
            )  # fmt: skip
            x = found["n"] - 1
            repeat = (found["total"] - found["value"]) / x.clip(lower=1)
            return {
                "x": x, "t_x": found["last"] - found["first"], "T": given.as_of - found["first"],
                "mean_value": repeat.where(x > 0, 0.0),
            }  # fmt: skip

        return work

    return Contender("pandas", start, lambda columns, _: totals(columns))
