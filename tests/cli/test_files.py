"""`clm import` and `clm export` against a service that runs: files in, lines out."""

import asyncio
import json
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner, Result

from app.cli import commands as cli
from app.demo import data
from app.postgres import embedded
from app.postgres.embedded import EmbeddedPostgres
from tests.prepared import ENVIRONMENT, copy_of, prepared, reachable_folder  # noqa: F401
from tests.service import Service, running_service

HEADER = "order_id,customer_id,order_date,amount\n"


@pytest.fixture(scope="module")
def service(prepared: Path) -> Iterator[Service]:  # noqa: F811
    with running_service(prepared=prepared, worker=True) as service:
        yield service


@pytest.fixture
def commands(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLM_URL", service.url)
    monkeypatch.setenv("CLM_KEY", service.key)


def clm(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli.app, list(words))
    assert result.exit_code == code, result.output
    return result


def orders() -> tuple[str, int]:
    """Return real purchases of 600 people, of 1997 and 1998, as a file; and how many they are."""
    bought = data.transactions(data.read_log(), data.Calendar.unmoved())
    buyers = set(sorted({item["customer_id"] for item in bought})[:600])
    rows = [
        f"{item['transaction_id']},{item['customer_id']},{item['occurred_at'][:10]},"
        f"{item['amount']['amount']}\n"
        for item in bought
        if item["customer_id"] in buyers
    ]
    return HEADER + "".join(rows), len(rows)


def test_a_file_becomes_a_list_of_whom_to_call(commands: None, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    content, number = orders()
    file.write_text(content)
    done = clm("import", str(file), "--preset", "orders", "--time-zone", "UTC")
    assert f"{number:,} rows: {number:,} taken in, 0 refused" in done.output
    assert f"EUR: {number:,} purchases of" in done.output
    assert "the last day of the data" in done.output
    assert "people worth a call" in done.output
    again = clm("import", str(file), "--preset", "orders", "--time-zone", "UTC", "--no-scores")
    assert f"transactions: duplicate {number:,}" in again.output


def test_a_proposal_is_used_when_it_is_agreed_to(
    commands: None, service: Service, tmp_path: Path
) -> None:
    file = tmp_path / "more.csv"
    file.write_text(HEADER + "P-1,p-1,2026-01-31,5.00\nP-2,p-1,2026-01-31,five\n")
    words = ["import", str(file), "--time-zone", "Europe/Berlin", "--no-scores"]
    refused = clm(*words, code=1)
    assert "agree with --yes" in refused.output
    agreed = clm(*words, "--yes", code=3)
    assert "1 taken in, 1 refused" in agreed.output
    import_id = agreed.output.split("--import ")[1].split()[0]
    mended = tmp_path / "mended.csv"
    clm("export", "rejected", "--import", import_id, "--out", str(mended))
    mended.write_text(mended.read_text().replace("five", "5.00"))
    assert "1 taken in, 0 refused" in clm("import", str(mended), *words[2:], "--yes").output
    found = httpx.get(
        f"{service.url}/v1/customers/p-1/transactions", headers=service.headers
    ).json()
    assert len(found["items"]) == 2


def test_a_report_of_a_shop_is_read_once_what_is_open_is_agreed_to(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLM_KEY", service.key)
    report = Path(__file__).parents[1] / "mappings/layouts/weimob.csv"
    words = ["import", str(report), "--time-zone", "Asia/Shanghai", "--no-scores",
             "--url", service.url]  # fmt: skip
    done = clm(*words, "--source", "weimob", "--yes")
    assert "/file/skip_lines (assumed: 3)" in done.output
    assert "undated_refunds (assumed: at_order)" in done.output
    assert "5 rows: 4 taken in, 0 refused, 1 left out (total_line 1)" in done.output
    assert "EUR: 3 purchases of 580.00, 2 refunds of 260.00" in done.output
    again = clm(*words, "--source", "weimob", "--preset", "order_lines", "--skip-lines", "3")
    assert "duplicate: 3 purchases of 580.00, 2 refunds of 260.00" in again.output
    assert "below a title" in clm(*words, "--preset", "order_lines", code=1).output


def test_a_dry_run_keeps_nothing(commands: None, service: Service, tmp_path: Path) -> None:
    file = tmp_path / "tried.csv"
    file.write_text(HEADER + "T-1,tried,2026-01-31,5.00\n")
    done = clm("import", str(file), "--preset", "orders", "--time-zone", "UTC", "--dry-run")
    assert "nothing is kept" in done.output
    found = httpx.get(f"{service.url}/v1/customers/tried", headers=service.headers)
    assert found.status_code == 404


@pytest.fixture
def taken_in(commands: None, tmp_path: Path) -> None:
    """The purchases of `orders`, also in a process that has not run the test of their import."""
    content, number = orders()
    if len(clm("export", "transactions", "--format", "ndjson").output.splitlines()) < number:
        file = tmp_path / "orders.csv"
        file.write_text(content)
        clm("import", str(file), "--preset", "orders", "--time-zone", "UTC")


def test_what_is_stored_goes_out_whole(taken_in: None, tmp_path: Path) -> None:
    out = tmp_path / "transactions.ndjson"
    clm("export", "transactions", "--format", "ndjson", "--out", str(out))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) >= orders()[1]
    buyers = {line["customer_id"] for line in lines}
    clm("export", "customers", "--out", str(tmp_path / "customers.csv"))
    assert (tmp_path / "customers.csv").read_text().startswith("customer_id,")
    upserts = tmp_path / "zoho.ndjson"
    clm("export", "zoho", "--field", "CLM_Stage=stage", "--out", str(upserts))
    records = json.loads(upserts.read_text().splitlines()[0])["data"]
    assert {record["CLM_Customer_Id"] for record in records} <= buyers
    assert {"active", "loyal", "churned"} & {record.get("CLM_Stage") for record in records}


def test_who_is_in_which_segments_goes_out_and_what_is_left_out_is_said(
    commands: None, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = {"in_germany": {"variable": "country", "op": "==", "value": "DE"},
             "young": {"variable": "age_years", "op": "<", "value": 30}}  # fmt: skip
    with httpx.Client(base_url=f"{service.url}/v1", headers=service.headers) as client:
        for code, rule in rules.items():
            body = {"name": {"en": code, "zh": code}, "rule": rule}
            client.put(f"/segments/{code}", json=body).raise_for_status()
        client.put("/customers/of-de", json={"country": "DE"}).raise_for_status()
        listed = client.get("/segments/in_germany/members").json()["items"]
        asked = {"name": "reader", "scopes": ["customers:read"]}
        monkeypatch.setenv("CLM_KEY", client.post("/keys", json=asked).json()["key"])
    for form in ("csv", "ndjson"):
        out = tmp_path / f"segments.{form}"
        done = clm("export", "segments", "--format", form, "--out", str(out))
        lines = out.read_text().splitlines()
        assert len(lines) == len(listed) + (form == "csv")
        assert "of-de" in lines[-1]
        assert "1 segments are left out" in done.output
    assert json.loads(lines[-1]).keys() == {
        "customer_id", "segment", "version", "name", "entered_at",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("import", "none.csv"), "is no file"),
        (("import", __file__, "--preset", "none"), "none is no preset"),
        (("import", __file__, "--parameter", "x"), "write NAME=VALUE"),
        (("import", __file__, "--as-of", "soon"), "--as-of is last, now, or a day"),
        (("export", "scores", "--url", "here"), "--url is an address"),
        (("export", "scores", "--url", "http://a", "--port", "1"), "name one of"),
        (("export", "rejected"), "name the import with --import"),
        (("export", "rejected", "--import", "none"), "There is no import"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    commands: None, words: tuple[str, ...], message: str
) -> None:
    done = clm(*words, code=1)
    assert message in done.output
    assert "Traceback" not in done.output


def test_a_service_that_is_not_there_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLM_URL", "http://127.0.0.1:9")
    assert "CLM_KEY" in clm("export", "scores", code=1).output
    monkeypatch.setenv("CLM_KEY", "x")
    assert "broke off" in clm("export", "scores", code=1).output


async def transactions(url: str) -> list[tuple[str, Decimal]]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    rows = await connection.fetch("SELECT transaction_id, amount FROM transactions ORDER BY 1")
    await connection.close()
    return [tuple(row) for row in rows]


def test_without_an_address_files_go_to_the_service_of_the_data_folder(
    prepared: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(HEADER + "E-1,e-1,2026-01-31,5.00\nE-2,e-1,2026-02-28,7.50\n")
    words = "import", str(file), "--preset", "orders", "--time-zone", "UTC", "--no-scores"
    monkeypatch.delenv("CLM_URL", raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    handler = signal.getsignal(signal.SIGTERM)
    with reachable_folder() as folder:
        monkeypatch.setenv("CLM_DATA_DIR", str(copy_of(prepared, folder / "data")))
        assert "transactions: created 2" in clm(*words).output
        assert embedded.running(folder / "data") is None
        # What was taken in is still there when the service that was run for it has ended.
        with EmbeddedPostgres.start(folder / "data", throwaway=True) as server:
            assert asyncio.run(transactions(server.url)) == [("E-1", 5), ("E-2", Decimal("7.5"))]
    signal.signal(signal.SIGTERM, handler)


def test_files_go_to_the_service_of_the_data_folder_that_runs(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CLM_URL", raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLM_DATA_DIR", str(service.data))
    monkeypatch.setenv("CLM_PORT", service.url.rpartition(":")[2])
    file = tmp_path / "orders.csv"
    file.write_text(HEADER + "R-1,runs,2026-01-31,5.00\n")
    clm("import", str(file), "--preset", "orders", "--time-zone", "UTC", "--no-scores")
    found = httpx.get(f"{service.url}/v1/customers/runs", headers=service.headers)
    assert found.status_code == 200
