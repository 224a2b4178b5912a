"""What is read from the environment: our settings, and what is nobody's mistake."""

import logging
import os

import pytest

from app.config import Settings, load_settings

OF_KUBERNETES = {
    "CLM_SERVICE_HOST": "10.0.0.1",
    "CLM_SERVICE_PORT": "8000",
    "CLM_SERVICE_PORT_HTTP": "8000",
    "CLM_PORT": "tcp://10.0.0.1:8000",
    "CLM_PORT_8000_TCP": "tcp://10.0.0.1:8000",
    "CLM_PORT_8000_TCP_ADDR": "10.0.0.1",
    "CLM_PORT_8000_TCP_PORT": "8000",
    "CLM_PORT_8000_TCP_PROTO": "tcp",
    "CLM_POSTGRES_SERVICE_HOST": "fd00::7",
    "CLM_POSTGRES_SERVICE_PORT": "5432",
    "CLM_POSTGRES_PORT": "tcp://[fd00::7]:5432",
    "CLM_ADMIN_PORT": "tcp://10.0.0.9:80",
}
"""What a container is told of the services `clm`, `clm-postgres` and `clm-admin`."""


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CLM_"):
            monkeypatch.delenv(name)


def test_services_of_kubernetes_do_not_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in OF_KUBERNETES.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.WARNING):
        settings = load_settings()
    assert (settings.port, settings.admin_port) == (8000, None)
    assert [record.getMessage().split("=")[0] for record in caplog.records] == [
        "CLM_PORT", "CLM_ADMIN_PORT"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("CLM_PROT", "8000", "CLM_PORT"),
        ("CLM_TIMEZONE", "UTC", "CLM_TIME_ZONE"),
        ("CLM_POOLSIZE", "5", "CLM_POOL_SIZE"),
        ("CLM_CORS_ORIGIN", "https://a.example", "CLM_CORS_ORIGINS"),
        ("CLM_ADMIN_PROT", "9000", "CLM_ADMIN_PORT"),
        ("CLM_SERVICE_PORT", "eighty", None),
        ("CLM_PORTS", "tcp://10.0.0.1:8000", "CLM_PORT"),
        ("CLM_NONSENSE", "1", None),
    ],
)
def test_a_typo_is_refused_with_what_was_meant(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, hint: str | None
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="unknown settings") as refused:
        load_settings()
    assert name in str(refused.value)
    assert ("did you mean" in str(refused.value)) == (hint is not None)
    if hint:
        assert f"(did you mean {hint}?)" in str(refused.value)


def test_origins_are_exact_and_never_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLM_CORS_ORIGINS", "https://crm.example, http://localhost:3000,")
    assert load_settings().cors_origins == ("https://crm.example", "http://localhost:3000")
    for wrong in ("*", "https://*.example", "crm.example", "https://crm.example/", "null",
                  "https://CRM.example", "https://a b", "https://user@crm.example"):  # fmt: skip
        monkeypatch.setenv("CLM_CORS_ORIGINS", wrong)
        with pytest.raises(ValueError, match="not an origin"):
            load_settings()


@pytest.mark.parametrize(
    ("pool_size", "exports", "slots"), [(3, 2, 1), (4, 2, 2), (10, 2, 2), (10, 100, 8), (10, 1, 1)]
)
def test_exports_leave_a_connection_to_health_and_one_to_all_else(
    pool_size: int, exports: int, slots: int
) -> None:
    settings = Settings(pool_size=pool_size, exports=exports)
    assert settings.export_slots == slots
    assert 1 <= slots <= pool_size - 2
