"""The demo: an HTTP client of a service of its own, from an empty folder to a list of names.

It posts the sample, starts a scoring run, and prints what the service then says: a line for each
stage, and whom to call. Only the truth panel of `--proof` calls the scoring on the file itself.
"""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from datetime import date

from rich.console import Console
from rich.text import Text

from app.config import Settings
from app.demo import data, folder, load, panel, server, show, truth
from app.demo.client import Client
from app.demo.errors import DemoError

__all__ = ["DemoError", "run"]


def run(settings: Settings, *, once: bool, shift: bool, proof: bool) -> None:
    """Show the service at work; then serve until a signal, unless `once`.

    With `proof` it shows the RFM grid, too, and judges predictions by what happened.
    """
    if not settings.embedded:
        raise DemoError("the demo needs the embedded database, which is not offered here")
    # A signal must unwind this stack, which stops the service.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = show.console(sys.stdout)
    calendar = data.Calendar.ending_yesterday(data.today()) if shift else data.Calendar.unmoved()
    own = settings.model_copy(update={"currency": "USD", "time_zone": "UTC"})
    where = settings.data_dir.resolve() / "demo"
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context(folder.owned(where))
        _introduce(console, settings, calendar, where=str(where))
        with _step(console, "PostgreSQL, API and worker started, schema migrated"):
            serving = server.serving(own, where, lock, scheduled=shift)
            service = stack.enter_context(serving)
            service.wait_until_ready()
            key = service.make_key()
        client = Client(service.url, key)
        stack.callback(client.close)
        _load(console, client, calendar, as_of=None if shift else data.WINDOW_ENDS)
        found = _show(console, client, proof=proof)
        show.next_steps(console, service.url, key, found, proof=proof)
        console.print(f"\nEverything took {time.monotonic() - begun:.1f} s.", style="dim")
        if not once:
            with contextlib.suppress(KeyboardInterrupt):
                console.print("Serving until Ctrl-C. The next demo begins anew.")
                service.wait()


def _introduce(
    console: Console, settings: Settings, calendar: data.Calendar, *, where: str
) -> None:
    shown = calendar.shown(data.WINDOW_ENDS)
    console.print(Text("CLM demo: facts in; stage, value, and whom to call out\n", style="bold"))
    console.print(
        "Customers: 2,357 real, anonymous ones of an online music shop (CDNOW, 1997),\n"
        "           and 200 invented prospects, marked as invented"
    )
    if calendar.shift:
        moved = f"{calendar.shift.days:,} days later, so that the log ends yesterday"
        console.print(f"Dates:     {data.WINDOW_ENDS} is shown as {shown}: {moved}")
    else:
        console.print(f"Dates:     {data.WINDOW_ENDS} is shown as {shown}: not shifted")
    console.print(
        "Settings:  USD and UTC, whatever CLM_CURRENCY and CLM_TIME_ZONE say: the amounts are\n"
        "           dollars, and each purchase, whose day alone is known, is posted at 12:00 UTC"
    )
    if settings.database_url is not None:
        console.print("Database:  CLM_DATABASE_URL is set and left alone: the demo has its own")
    console.print(f"Folder:    {where}, made anew at each start\n", soft_wrap=True)


def _load(console: Console, client: Client, calendar: data.Calendar, *, as_of: date | None) -> None:
    with _step(console, "prospects posted"):
        load.post(console, client, "/customers/bulk", data.prospects(calendar))
    with _step(console, "purchases posted, stages of all customers exact"):
        log = data.transactions(data.read_log(), calendar)
        load.post(console, client, "/transactions/bulk", log)
    with _step(console, "model fitted, everybody scored"):
        load.score(console, client, as_of)
    console.print()


def _show(console: Console, client: Client, *, proof: bool) -> str | None:
    """Print what the service says; return somebody worth a call."""
    report = client.get("/reports/stages")
    console.print(f"As of {report['as_of']}, by run {report['run_id']} of {report['model_id']}\n")
    if proof:
        show.rfm(console, client.get("/reports/rfm"))
        panel.truth(console, truth.judge(data.read_log()))
    show.stages(console, report)
    page = client.get("/churn-risks", limit=show.CALLS, sort="-value_to_save")
    show.calls(console, page)
    return page["items"][0]["customer_id"] if page["items"] else None


@contextlib.contextmanager
def _step(console: Console, done: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    console.print(f"[{time.monotonic() - begun:5.1f} s] {done}")
