"""The demo: its numbers, its dates, its folder, and one run from an empty folder to the end."""

import datetime as dt
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from app.children import CLM
from app.config import Settings
from app.demo import DemoError, data, folder, server, truth
from app.demo.panel import line
from tests.prepared import reachable_folder

PUBLISHED = "r 0.24259, alpha 4.4136, a 0.79292, b 2.4259, log-likelihood -9582.4292"
BOUND_SECONDS = 240


@pytest.fixture(scope="module")
def log() -> list[data.Purchase]:
    return data.read_log()


@pytest.fixture(scope="module")
def found(log) -> truth.Truth:
    return truth.judge(log)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder that every user can reach: as root the database runs as another one."""
    with reachable_folder() as path:
        yield path


# --- the numbers ---------------------------------------------------------------------------------


def test_the_truth_line_is_the_published_one(found):
    assert line(found.fitted, found.log_likelihood) == PUBLISHED
    assert found.agrees


def test_deciles_hold_everybody_and_all_purchases(found, log):
    assert sum(tenth.customers for tenth in found.deciles) == 2357
    for name, total in (
        ("actual", found.actual),
        ("actual_by_silence", found.actual),
        ("predicted", found.predicted),
    ):
        by_tenth = sum(tenth.customers * getattr(tenth, name) for tenth in found.deciles)
        assert by_tenth == pytest.approx(total)
    days = {
        (row.customer, row.on) for row in log if truth.FITTED_UP_TO < row.on <= truth.JUDGED_UP_TO
    }
    assert found.actual == len(days) == 1882
    predicted = [tenth.predicted for tenth in found.deciles]
    assert predicted == sorted(predicted, reverse=True)


def test_both_windows_are_39_weeks():
    assert (truth.FITTED_UP_TO - dt.date(1996, 12, 31)).days == 39 * 7
    assert truth.WEEKS_AHEAD == 39


def test_area_under_curve_against_all_pairs():
    rng = np.random.default_rng(7)
    score, happened = rng.integers(0, 12, 300).astype(float), rng.random(300) < 0.3
    pairs = score[happened][:, None] - score[~happened][None, :]
    by_pairs = ((pairs > 0) + (pairs == 0) / 2).mean()
    assert truth.area_under_curve(score, happened) == pytest.approx(by_pairs)
    assert truth.area_under_curve(happened.astype(float), happened) == 1


# --- the dates and what is posted ----------------------------------------------------------------


def test_shifted_dates_end_yesterday():
    calendar = data.Calendar.ending_yesterday(dt.date(2026, 3, 1))
    assert calendar.shown(data.WINDOW_ENDS) == dt.date(2026, 2, 28)
    assert calendar.shown(dt.date(1997, 8, 1)) == dt.date(2026, 1, 29)
    assert calendar.at_noon(data.WINDOW_ENDS) == "2026-02-28T12:00:00Z"


def test_dates_can_stay():
    calendar = data.Calendar.unmoved()
    assert calendar.shown(data.WINDOW_ENDS) == data.WINDOW_ENDS
    assert calendar.at_noon(dt.date(1997, 1, 1)) == "1997-01-01T12:00:00Z"


@pytest.mark.parametrize("shift", [True, False])
def test_posted_purchases(log, shift):
    today = dt.date(2026, 3, 1)
    calendar = data.Calendar.ending_yesterday(today) if shift else data.Calendar.unmoved()
    posted = data.transactions(log, calendar)
    assert len(log) == 6919
    assert len(posted) == 4723
    assert len({item["transaction_id"] for item in posted}) == 4723  # same-day ones stay apart
    assert len({item["customer_id"] for item in posted}) == 2357
    assert posted[0]["customer_id"] == "cdnow-0001"
    assert max(item["occurred_at"] for item in posted) == calendar.at_noon(data.WINDOW_ENDS)
    gaps = {
        dt.datetime.fromisoformat(item["occurred_at"]).date()
        - log[int(item["transaction_id"].removeprefix("row-")) - 1].on
        for item in posted
    }
    assert gaps == {calendar.shift}


def test_prospects_are_marked_as_invented_and_reach_nobody():
    people = data.prospects(data.Calendar.unmoved())
    assert len({person["customer_id"] for person in people}) == 200
    assert len({person["email"] for person in people}) == 200
    assert all(person["attributes"] == {"invented": True} for person in people)
    assert all(person["email"].endswith("@example.com") for person in people)
    assert sum(not person["name"].isascii() for person in people) > 50
    days = [person["first_contact_at"][:10] for person in people]
    assert min(days) >= "1997-01-01"
    assert max(days) <= "1997-08-31"


# --- the folder ----------------------------------------------------------------------------------


def test_the_folder_is_emptied_and_owned_once(data_dir):
    place = data_dir / "new" / "demo"
    with folder.owned(place):
        (place / "left").mkdir()
        (place / "left" / "over").touch()
        with pytest.raises(DemoError, match=f"another demo .*process {os.getpid()}"):
            folder._take(place)
    with folder.owned(place):
        assert [path.name for path in place.iterdir()] == [folder.LOCK]


def test_a_folder_of_somebody_else_is_left_alone(data_dir):
    place = data_dir / "demo"
    place.mkdir()
    (place / "thesis.txt").write_text("years of work")
    with pytest.raises(DemoError, match="was not made by a demo"), folder.owned(place):
        pass
    assert [path.name for path in place.iterdir()] == ["thesis.txt"]


# --- one whole run -------------------------------------------------------------------------------


def _start(data_dir: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CLM_")}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    own = {"CLM_DATA_DIR": str(data_dir), "CLM_PORT": port, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [*CLM, "demo", *words],
        env=clean | own | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _using(data_dir: Path) -> list[str]:
    """The command lines of living processes that name the folder, or have it in the environment."""
    name, found = str(data_dir).encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if name in command + (process / "environ").read_bytes():
                found.append(command.replace(b"\0", b" ").decode())
    return found


def _gone(data_dir: Path, within: float) -> list[str]:
    deadline = time.monotonic() + within
    while (left := _using(data_dir)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


def _until(process: subprocess.Popen[str], words: str) -> str:
    """Read what it says until it says these words; return all of it."""
    assert process.stdout is not None
    said = []
    for text in process.stdout:
        said.append(text)
        if words in text:
            return "".join(said)
    return pytest.fail("".join(said))


@on_linux
def test_once_it_shows_all_and_ends(data_dir):
    process = _start(data_dir, "--once", "--proof")
    try:
        assert _using(data_dir)
        output, _ = process.communicate(timeout=BOUND_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert not _gone(data_dir, within=10)
    assert f"fitted here  {PUBLISHED}" in output
    assert output.index("RFM grid: customers") < output.index("Customers per stage")
    assert output.index("Truth panel") < output.index("Customers per stage")
    _check(output)


@on_linux
def test_it_serves_until_it_is_told_to_end_and_nothing_is_left(data_dir):
    process = _start(data_dir, CLM_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    try:
        output = _until(process, "Serving until Ctrl-C")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.communicate()
    assert not _gone(data_dir, within=10)
    assert "CLM_DATABASE_URL is set and left alone" in output
    assert not [t for t in ("fitted here", "RFM grid: customers", "Truth panel") if t in output]
    _check(output)


def _check(output: str) -> None:
    assert "1997-08-31 is shown as " in output
    assert max(len(line) for line in output.splitlines() if not line.startswith("curl")) <= 100
    stages, calls, steps = (
        output.index(title)
        for title in ("Customers per stage", "people worth a call", "What to do next")
    )
    assert stages < calls < steps
    _check_stages(output[stages:calls])
    _check_calls(output[calls:steps])
    _check_steps(output[steps:])


def _check_stages(shown: str) -> None:
    found = dict(
        re.findall(r"^ (\w+) .*?([\d,]+) +[\d,]+\.\d\d +[\d,]+\.\d\d ", shown, re.MULTILINE)
    )
    counts = {name: int(count.replace(",", "")) for name, count in found.items()}
    assert counts["Potential"] == 200
    assert sum(counts[name] for name in ("Initial", "Active", "Loyal", "Churned")) == 2357
    assert counts["All"] == 2557


def _check_calls(shown: str) -> None:
    """Ten people, each in one paragraph: why, and what there is to save, the most first."""
    paragraphs = re.split(r"^(?=cdnow-\d{4} )", shown, flags=re.MULTILINE)[1:]
    told = [" ".join(paragraph.split()) for paragraph in paragraphs]
    assert len(told) == 10
    assert all(re.search(r"Worth a call|: call\.", each) for each in told), told
    assert all("ago" in each and "expected in 90 days" in each for each in told), told
    amounts = [
        float(found.replace(",", ""))
        for each in told
        for found in re.findall(r"About ([\d.,]+) USD to save", each)
    ]
    assert len(amounts) == 10
    assert amounts == sorted(amounts, reverse=True)


def _check_steps(shown: str) -> None:
    """Lines to paste: the key that they use is the one above them."""
    assert re.search(r"^KEY=clm_\w+$", shown, re.MULTILINE)
    curls = re.findall(r"^curl -H \"Authorization: Bearer \$KEY\" '(\S+)'", shown, re.MULTILINE)
    assert len(curls) == 3
    assert "/v1/churn-risks?limit=3" in curls[0]
    assert re.search(r"/v1/customers/cdnow-\d{4}/scores$", curls[1])


@on_linux
def test_nothing_outlives_a_demo_that_is_killed_amid_its_work(data_dir):
    process = _start(data_dir)
    try:
        _until(process, "schema migrated")
    finally:
        process.kill()
        process.communicate()
    assert process.returncode != 0
    assert not _gone(data_dir, within=60)


def test_pages_of_other_sites_may_call_the_demo_if_they_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("CLM_CORS_ORIGINS", "https://a.example, https://b.example")
    own = server._environment(Settings(), tmp_path, 8000, scheduled=False)
    assert own["CLM_CORS_ORIGINS"] == "https://a.example,https://b.example"
