"""What this tree and another one tell of the same past, each in a process of its own.

Run by its path with `PYTHONPATH` at a tree, this file answers for that tree: it imports numpy and
`app`, and nothing else of the repository. `Tree` is the other end: a question is a log, a cut and
a horizon, an answer what was told at the cut of everybody known by then.
"""

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parents[1]
CHOSEN, RAW = "chosen", "its process"
LEFT_OUT = ("risk", "table")  # of a choice: what is big, or told elsewhere
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Tree:
    """A process that answers for the tree in a folder; it ends with the block."""

    def __init__(self, folder: Path = HERE) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", __file__],
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
    from app.scoring.churn import churn_selection, rules  # noqa: PLC0415
    from app.scoring.histories.features import Facts, features_at  # noqa: PLC0415

    facts = Facts(**columns)
    customer, features = features_at(facts, as_of=cut)
    started = time.process_time()
    choice = churn_selection.choose(facts, as_of=cut, horizon=horizon)
    seconds = time.process_time() - started
    told = {CHOSEN: choice.risk.probability(features, horizon=horizon)}
    base = rules.rules(facts, cut, horizon, features)
    told |= {name: p for name, (p, _) in base.items() if beside or name == "base_rate"}
    own = features.x, features.t_x, features.T
    processes = {RAW: choice.risk.process, **(_processes(features) if beside else {})}
    expected = {}
    for name, process in processes.items():
        told[name] = process.p_no_purchase(*own, horizon=horizon)
        expected[name] = process.expected_purchases(*own, horizon=horizon)
    plain = choice.as_dict()
    risk = plain["risk"]
    return {
        "customer": customer,
        "history": own,
        "seconds": seconds,
        "told": told,
        "ranks": {name: rank for name, (_, rank) in base.items()},
        "expected": expected
        | {CHOSEN: _expected(choice.risk.process, features, told[CHOSEN], horizon)},
        "process": risk["process"]["kind"],
        "slope": risk["weights"].get("process", 0.0),
        "intercept": risk["intercept"],
        "status": risk["status"],
        "choice": {name: part for name, part in plain.items() if name not in LEFT_OUT},
    }


def _expected(process: Any, features: Any, p: Any, horizon: int) -> Any:
    """Return the purchases that the service expects beside a risk of none."""
    own = features.x, features.t_x, features.T
    if hasattr(process, "purchases_if_any"):
        return (1 - p) * process.purchases_if_any(*own, horizon=horizon)
    # Trees of before risk and purchases had one source take these for all that is not asked for.
    default = _fitted(features, "mbg_nbd")
    return default.expected_purchases(*own, horizon=horizon)


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
    while True:
        try:
            facts, cut, horizon, beside = pickle.load(stdin)
        except EOFError:
            return
        pickle.dump(answer(facts, cut, horizon, beside=beside), stdout)
        stdout.flush()


if __name__ == "__main__":
    main()
