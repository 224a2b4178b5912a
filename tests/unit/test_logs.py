"""Log lines are JSON, carry the ids of the request, and quote nobody's data."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy.exc

from app.telemetry.logs import configure, describe, request_id_var, trace_id_var


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = before
    logging.root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).propagate = True
    request_id_var.set("")
    trace_id_var.set("")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO")
    configure("INFO")
    request_id_var.set("abcdefgh")
    trace_id_var.set("a1" * 16)
    logging.getLogger("clm.test").info(
        "two\nlines %s", "ü\ud800", extra={"route": "/v1", "ms": 1.5}
    )
    logging.getLogger("clm.test").debug("not shown")
    (line,) = lines(capsys)
    assert datetime.fromisoformat(line.pop("time")).tzinfo is not None
    assert line == {
        "level": "INFO",
        "logger": "clm.test",
        "message": "two\nlines ü\ud800",
        "route": "/v1",
        "ms": 1.5,
        "request_id": "abcdefgh",
        "trace_id": "a1" * 16,
    }


def test_ids_are_left_out_outside_a_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    logging.getLogger("clm.test").warning("hello", extra={"when": object()})
    (line,) = lines(capsys)
    assert "request_id" not in line
    assert "trace_id" not in line


def test_exceptions_keep_their_stack_and_lose_their_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure()
    name = "alice".upper()
    try:
        try:
            raise KeyError(name)  # noqa: TRY301
        except KeyError as error:
            raise sqlalchemy.exc.DBAPIError("SELECT", {"name": name}, error) from error
    except sqlalchemy.exc.DBAPIError:
        logging.getLogger("clm.test").exception("failed")
    (line,) = lines(capsys)
    assert "ALICE" not in json.dumps(line)
    assert line["exc_info"].startswith("sqlalchemy.exc.DBAPIError\n")
    assert "from KeyError\n" in line["exc_info"]
    assert "test_exceptions_keep_their_stack" in line["exc_info"]


def test_describe_keeps_harmless_messages_and_groups() -> None:
    group = ExceptionGroup("many", [TypeError("int expected"), ValueError("alice")])
    text = describe(group)
    assert "TypeError: int expected" in text
    assert "ValueError" in text
    assert "alice" not in text
    loop = ValueError("a")
    loop.__context__ = ValueError("b")
    loop.__context__.__context__ = loop
    assert describe(loop).count("ValueError") == 2


def test_uvicorn_goes_through_us(capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO")
    logging.getLogger("uvicorn.error").info("started", extra={"color_message": "\x1b[36m"})
    logging.getLogger("uvicorn.access").info("GET /v1/customers/alice")
    logging.getLogger("httpx").info("GET http://host/alice")
    (line,) = lines(capsys)
    assert (line["logger"], line["message"]) == ("uvicorn.error", "started")
    assert "color_message" not in line
    assert not logging.getLogger("uvicorn.access").hasHandlers()


def test_a_process_writes_to_stdout() -> None:
    program = "import logging; from app.telemetry.logs import configure; configure(); logging.warning('hi')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert json.loads(done.stdout)["message"] == "hi"
    assert done.stderr == b""
