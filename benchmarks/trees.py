"""What this tree and another one tell of the same past, each in a process of its own.

Run by its path with `PYTHONPATH` at a tree, this file answers for that tree: it imports numpy and
`app`, and nothing else of the repository. `Tree` is the other end: a question is a log, a cut and
a horizon, an answer what was told at the cut of everybody known by then.
"""

import contextlib
import importlib
import inspect
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import numpy as np

HERE = Path(__file__).parents[1]
CHOSEN, RAW = "chosen", "its process"
PURCHASES = "purchases"  # the model of purchases by itself, in its season
LEFT_OUT = ("risk", "table")  # of a choice: what is big, or told elsewhere
CHURN, REGRESSION = "app.scoring.churn", "app.scoring.regression"
PIECES: dict[str, list[tuple[str, str, Any]]] = {  # what to set where, to do without each
    "more than six landmarks": [(f"{CHURN}.rolling", "APART", 1),
                                (f"{CHURN}.rolling", "MOST", 6)],
    "the regression": [(f"{CHURN}.landmark", "MIN_EVENTS", 10**9)],
    "the process in the average": [(f"{CHURN}.landmark", "SHARES", (1.0,) * 3)],
    "levels of windows": [(f"{REGRESSION}.windows", "forecast", lambda *_, **__: 0.0)],
    "the pace": [(f"{CHURN}.walk_forward", "PARTS", np.zeros(1))],
    "the season": [("app.scoring.purchases.season_learning", "LEAST_DAYS", 10**9)],
    "the guard": [(f"{CHURN}.verdicts", "loses", lambda *_: False),
                  (f"{CHURN}.verdicts", "ENOUGH", 0),
                  (f"{CHURN}.verdicts", "ENOUGH_OF_AVERAGE", 0)],
}  # fmt: skip
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Tree:
    """A process that answers for the tree in a folder; it ends with the block."""

    def __init__(self, folder: Path = HERE, *, without: str | None = None) -> None:
        self._folder, self._without = folder, without

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", __file__, *filter(None, [self._without])],
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(self._folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def ask(self, facts: dict[str, Any], cut: int, horizon: int, *, beside: bool) -> Any:
        """Return the answer; with ``beside``, also what models and rules tell by themselves."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        pickle.dump((facts, cut, horizon, beside), stdin)
        stdin.flush()
        return pickle.load(stdout)


def answer(columns: dict[str, Any], cut: int, horizon: int, *, beside: bool) -> dict[str, Any]:
    from app.scoring.churn import rules  # noqa: PLC0415
    from app.scoring.histories.features import Facts, features_at  # noqa: PLC0415

    facts = Facts(**columns)
    customer, features = features_at(facts, as_of=cut)
    own = features.x, features.t_x, features.T
    started = time.process_time()
    choice, buying, season, ahead = learnt(facts, cut, horizon, features)
    seconds = time.process_time() - started
    told = {CHOSEN: choice.risk.probability(features, horizon=ahead)}
    parts = getattr(choice.risk, "parts", ())
    told |= {part.name: part.risk.probability(features, horizon=ahead) for part in parts}
    base = rules.rules(facts, cut, horizon, features)
    told |= {name: p for name, (p, _) in base.items() if beside or name == "base_rate"}
    processes = {RAW: choice.risk.process, **(_processes(features) if beside else {})}
    expected = {
        CHOSEN: _expected(buying, features, told[CHOSEN], horizon),
        PURCHASES: buying.expected_purchases(*own, horizon=horizon),
    }
    for name, process in processes.items():
        days = ahead if name == RAW else horizon
        told[name] = process.p_no_purchase(*own, horizon=days)
        expected[name] = process.expected_purchases(*own, horizon=days)
    plain = choice.as_dict()
    risk = plain["risk"]
    return {
        "customer": customer,
        "history": own,
        "seconds": seconds,
        "told": told,
        "ranks": {name: rank for name, (_, rank) in base.items()},
        "expected": expected,
        "intervals": _intervals(choice, buying, features, told[CHOSEN], horizon),
        "season": season,
        "weights": {part.name: part.weight for part in parts},
        "process": risk["process"]["kind"],
        "slope": risk["weights"].get("process", 0.0),
        "intercept": risk["intercept"],
        "status": risk["status"],
        "choice": {name: part for name, part in plain.items() if name not in LEFT_OUT},
    }


def learnt(facts: Any, cut: int, horizon: int, features: Any) -> tuple[Any, Any, Any, float]:
    """Return risk, model of purchases and season as a deployment would have learnt them at a cut.

    And the days ahead that the risk is to be asked for. Trees of before there was a season have
    none, and those of before risk knew of it ask for the horizon.
    """
    from app.scoring.churn import churn_selection  # noqa: PLC0415
    from app.scoring.evaluation import selection  # noqa: PLC0415
    from app.scoring.purchases.registry import MODELS  # noqa: PLC0415

    def fit_of(kind: str) -> Any:
        return lambda known: MODELS[kind].fit(
            known.x, known.t_x, known.T, sum_log_gaps=known.sum_log_gaps
        )

    fits = {kind: fit_of(kind) for kind in MODELS}
    found = selection.choose(*facts.log(cut), as_of=cut, horizon=horizon, fits=fits)
    buying, season, ahead = _fitted(features, found.purchases.kind), None, float(horizon)
    with contextlib.suppress(ImportError):
        from app.scoring.purchases import season_learning  # noqa: PLC0415
        from app.scoring.purchases.in_season import InSeason  # noqa: PLC0415

        if buying.status != "fallback":
            kind = MODELS[found.purchases.kind]
            by_months = season_learning.learn(facts.log(cut), kind, as_of=cut)
            season = by_months.season
        if season is not None:
            buying = InSeason(by_months.model, season, cut)
    options: dict[str, Any] = {"as_of": cut, "horizon": horizon}
    if season is not None and "season" in inspect.signature(churn_selection.choose).parameters:
        options["season"], ahead = season, float(season.between(cut, cut + horizon))
    factors = None if season is None else season.factors
    return churn_selection.choose(facts, **options), buying, factors, ahead


def _expected(process: Any, features: Any, p: Any, horizon: int) -> Any:
    """Return the purchases that the service expects beside a risk of none."""
    own = features.x, features.t_x, features.T
    if hasattr(process, "purchases_if_any"):
        return (1 - p) * process.purchases_if_any(*own, horizon=horizon)
    # Trees of before risk and purchases had one source take these for all that is not asked for.
    return process.expected_purchases(*own, horizon=horizon)


def _intervals(choice: Any, buying: Any, features: Any, p: Any, horizon: int) -> Any:
    """Return between what purchases are told to lie: of each, and of all; None of older trees."""
    if not hasattr(choice, "between"):
        return None
    from app.scoring.spend import intervals  # noqa: PLC0415

    own = features.x, features.t_x, features.T
    told = intervals.Purchases.of(
        1 - p,
        buying.purchases_if_any(*own, horizon=horizon),
        intervals.shape_of(getattr(buying, "model", buying), features.x),
    )
    total = float((told.chance * told.if_any).sum())
    variance = float(told.variance.sum())
    return {
        "each": tuple(intervals.of_purchases(told, choice.between)),
        "total": intervals.of_purchase_total(total, variance, choice.between),
        "between": choice.between.sd,
    }


def _processes(features: Any) -> dict[str, Any]:
    from app.scoring.purchases.registry import MODELS  # noqa: PLC0415

    return {kind: _fitted(features, kind) for kind in MODELS}


def _fitted(features: Any, kind: str) -> Any:
    from app.scoring.purchases.registry import MODELS  # noqa: PLC0415

    own = features.x, features.t_x, features.T
    return MODELS[kind].fit(*own, sum_log_gaps=features.sum_log_gaps)


def main() -> None:
    stdin, stdout = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed meanwhile is no answer
    for module, name, value in PIECES.get("".join(sys.argv[1:]), []):
        assert hasattr(importlib.import_module(module), name)
        setattr(importlib.import_module(module), name, value)
    while True:
        try:
            facts, cut, horizon, beside = pickle.load(stdin)
        except EOFError:
            return
        pickle.dump(answer(facts, cut, horizon, beside=beside), stdout)
        stdout.flush()


if __name__ == "__main__":
    main()
