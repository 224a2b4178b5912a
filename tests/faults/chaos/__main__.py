"""Breaks a deployment again and again, at random from seeds, and holds it to its promise.

PostgreSQL, two APIs and two workers as `clm` runs them, a chaos proxy before each, clocks that
differ, a disk that can fill; callers write and read all the while. See `docs/decisions/0047`.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from tests.faults.chaos import disk, seeds


def main() -> int:
    """Run seeds until the time is over; 1 if the service broke its promise in one of them."""
    parser = argparse.ArgumentParser(prog="make faults")
    parser.add_argument("--minutes", type=float, default=3.0, help="no seed begins after so many")
    parser.add_argument(
        "--seed", type=int, default=None, help="the first one; kept ones come before"
    )
    parser.add_argument("--steps", type=int, default=12, help="of each seed")
    parser.add_argument("--brief", action="store_true", help="this seed alone, with short faults")
    parser.add_argument("--prepared", type=Path, help="a migrated data folder to copy")
    parser.add_argument("--ready-seconds", type=float, default=10.0, help="from the end of a fault")
    asked = parser.parse_args()
    namespace = disk.enter_namespace()
    # As Ctrl-C does, which asyncio makes a cancellation: everything that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    if not namespace:
        print("no disk can be filled here: the kernel allows no mount of our own", flush=True)
    total: Counter[str] = Counter()
    with seeds.prepared_folder(asked.prepared) as prepared:
        runner = seeds.Runner(prepared, namespace, asked.steps, asked.ready_seconds, asked.brief)
        ends = time.monotonic() + asked.minutes * 60
        first = asked.seed if asked.seed is not None else int(time.time()) % 1_000_000
        try:
            for seed in seeds.in_order(first, alone=asked.brief):
                if time.monotonic() >= ends and total["seeds"]:
                    break
                total += asyncio.run(runner.run(seed))
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            total["interrupted"] += 1
    print(seeds.summary(total), flush=True)
    return 1 if total["failing seeds"] or total["interrupted"] or not total["seeds"] else 0


if __name__ == "__main__":
    sys.exit(main())
