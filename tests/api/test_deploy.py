"""What is in `deploy/` says nothing that the service does not know: metrics, settings, commands."""

import configparser
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import typer.main
import yaml
from prometheus_client.metrics import MetricWrapperBase
from sqlalchemy.engine import make_url

from app.cli import commands as cli
from app.config import PREFIX, Settings
from app.telemetry import metrics

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields}
OF_PROMETHEUS = {"up", "process_resident_memory_bytes"}
LABELS_OF_SCRAPES = {"job", "instance", "le"}
_FUNCTIONS = {"sum", "max", "min", "rate", "increase", "count", "time", "abs", "topk", "by",
              "histogram_quantile", "predict_linear", "ignoring", "or", "absent"}  # fmt: skip
JOBS = {"clm-api", "clm-worker"}


def yamls() -> list[Path]:
    return sorted(DEPLOY.rglob("*.yaml"))


def documents(path: Path) -> list[Any]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each is not None]


def rules() -> list[dict[str, Any]]:
    (group,) = documents(DEPLOY / "prometheus/clm.rules.yaml")[0]["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "grafana/clm.json").read_text())
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def labels_of() -> dict[str, set[str]]:
    """Return the labels of each series that the registry makes."""
    found = {}
    for collector in metrics.REGISTRY._collector_to_names:
        if isinstance(collector, MetricWrapperBase):
            for name in metrics.REGISTRY._collector_to_names[collector]:
                found[name] = set(collector._labelnames)
    return found


async def test_rules_and_dashboard_ask_for_what_is_on_the_page(client: httpx.AsyncClient) -> None:
    await client.post("/v1/customers/nobody", json={})
    page = (await client.get("/metrics")).text
    there = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}
    there |= {f"{name}{end}" for name in there for end in ("_bucket", "_count", "_sum")}
    known = labels_of()
    for where, expression in expressions():
        bare = re.sub(r'"[^"]*"', '""', expression)
        for name, given in re.findall(r"\b([a-z_]+)(\{[^}]*\})?(?=[\s)\[{]|$)", bare):
            if name in _FUNCTIONS or not name.startswith(("clm_", "up", "process_")):
                continue
            assert name in there | OF_PROMETHEUS, (where, name)
            labels = known.get(name, set()) | LABELS_OF_SCRAPES
            asked = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", given))
            assert asked <= labels, (where, name, asked - labels)
        every = set().union(*(known.get(name, set()) for name in re.findall(r"clm_\w+", bare)))
        for listed in re.findall(r"(?:by|ignoring) \(([^)]*)\)", bare):
            asked = {each.strip() for each in listed.split(",")}
            assert asked <= every | LABELS_OF_SCRAPES, (where, asked)


def test_rules_and_dashboard_name_values_that_labels_have() -> None:
    given = {
        "reason": set(get_args(metrics.Refusal)),
        "outcome": set(get_args(metrics.PartOutcome)),
        "task": {"scoring_run", "fit", "housekeeping", "backup"},
        "state": {"size", "checked_out"},
        "job": JOBS,
    }
    for where, expression in expressions():
        for label, wanted in re.findall(r'(\w+)=~?"([^"]*)"', expression):
            for value in wanted.split("|") if label in given else ():
                assert any(re.fullmatch(value, each) for each in given[label]), (where, value)


def test_every_alert_says_what_to_do() -> None:
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert all(rule["annotations"][name] for name in ("summary", "action"))
        assert re.fullmatch(r"\d+[smh]", rule["for"])
        for opening, closing in ("()", "[]", "{}"):
            assert rule["expr"].count(opening) == rule["expr"].count(closing)
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    scraped = documents(DEPLOY / "prometheus/prometheus.yaml")[0]
    assert {each["job_name"] for each in scraped["scrape_configs"]} == JOBS
    targets = {each["job_name"]: each["static_configs"][0]["targets"][0].split(":")
               for each in scraped["scrape_configs"]}  # fmt: skip
    read = settings_of_kubernetes("clm-database")
    ports = {"clm-api": read.admin_port, "clm-worker": read.worker_metrics_port}
    assert {job: int(port) for job, (_, port) in targets.items()} == ports


def test_panels_do_not_overlap() -> None:
    taken = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            assert (x, place["y"]) not in taken, panel["title"]
            taken.add((x, place["y"]))
            assert x < 24


@pytest.mark.parametrize("path", [*yamls(), *sorted((DEPLOY / "systemd").iterdir())], ids=str)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    assert set(re.findall(r"\bCLM_[A-Z_]+\b", path.read_text())) <= SETTINGS


def _commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(cli.app)
    found: dict[str, Any] = group.commands
    return found


def check_command(words: list[str]) -> None:
    """Fail unless `clm` understands this."""
    command = _commands()[words[0]]
    options = {option for each in command.params for option in each.opts}
    assert {word for word in words[1:] if word.startswith("--")} <= options, words


def roles() -> dict[str, list[str]]:
    """Return what the image runs, by the word that it is given."""
    text = (ROOT / "docker-entrypoint.sh").read_text()
    found = re.findall(r'^\s*(\w+)\) exec clm (.*) "\$@" ;;$', text, re.MULTILINE)
    return {role: shlex.split(words) for role, words in found}


def settings_of_kubernetes(secret: str) -> Settings:
    """Return what a container is told that is given this secret."""
    named = ("ConfigMap", "clm-settings"), ("Secret", secret)
    found = [each for each in documents(DEPLOY / "kubernetes/settings.yaml")
             if (each["kind"], each["metadata"]["name"]) in named]  # fmt: skip
    assert len(found) == 2
    data = {name: value for each in found for name, value in
            {**each.get("data", {}), **each.get("stringData", {})}.items()}  # fmt: skip
    return Settings.model_validate({n.removeprefix(PREFIX).lower(): v for n, v in data.items()})


def containers() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the containers of Kubernetes, each with its pod."""
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for document in documents(path):
            template = document.get("spec", {}).get("template") if "spec" in document else None
            for container in template["spec"]["containers"] if template else ():
                yield container, template["spec"]


def test_the_image_runs_commands_that_exist() -> None:
    assert set(roles()) == {"api", "worker", "migrate"}
    for words in roles().values():
        check_command(words)
    compose = documents(DEPLOY / "compose.yaml")[0]["services"]
    given = {name: service["command"] for name, service in compose.items() if name != "postgres"}
    assert given == {"migrate": ["migrate"], "api": ["api"], "worker": ["worker"]}
    assert [container["args"] for container, _ in containers()] == [
        ["api"],
        ["migrate"],
        ["worker"],
    ]


def test_pods_are_closed_probed_and_given_time_to_end() -> None:
    for container, pod in containers():
        (read,) = (settings_of_kubernetes(each["secretRef"]["name"])
                   for each in container["envFrom"] if "secretRef" in each)  # fmt: skip
        user = make_url(str(read.database_url)).username
        assert (user == read.application_role) == (container["args"] != ["migrate"])
        closed = container["securityContext"]
        assert closed["readOnlyRootFilesystem"]
        assert not closed["allowPrivilegeEscalation"]
        assert closed["capabilities"] == {"drop": ["ALL"]}
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["enableServiceLinks"] is False  # which would look like settings
        if container["args"] == ["migrate"]:
            continue
        probes = [container[f"{kind}Probe"]["httpGet"]["path"]
                  for kind in ("startup", "liveness", "readiness")]  # fmt: skip
        assert probes == ["/livez", "/livez", "/readyz"]
        assert pod["terminationGracePeriodSeconds"] >= read.drain_seconds + 30
    ports = {container["name"]: [each["containerPort"] for each in container["ports"]]
             for container, _ in containers() if "ports" in container}  # fmt: skip
    assert ports == {"api": [8000, read.admin_port], "worker": [read.worker_metrics_port]}
    for each in documents(DEPLOY / "kubernetes/api.yaml"):
        if each["kind"] == "Deployment":
            assert each["spec"]["replicas"] == read.siblings
        if each["kind"] == "Service":
            assert [port["targetPort"] for port in each["spec"]["ports"]] == ["http"]
        scraped = each.get("spec", {}).get("template", {}).get("metadata", {}).get("annotations")
        assert scraped is None or scraped["prometheus.io/port"] == str(read.admin_port)


def test_the_services_of_compose_work_as_the_role_that_is_made_beside_them() -> None:
    services = documents(DEPLOY / "compose.yaml")[0]["services"]
    made = re.findall(r"CREATE ROLE (\w+) LOGIN", (DEPLOY / "role.sh").read_text())
    for name in ("migrate", "api", "worker"):
        told = services[name]["environment"]
        assert [told["CLM_APPLICATION_ROLE"]] == made
        owner = services["postgres"]["environment"]["POSTGRES_USER"]
        expected = owner if name == "migrate" else made[0]
        assert told["CLM_DATABASE_URL"].startswith(f"postgresql://{expected}:")
    assert [port.rpartition(":")[2] for port in services["api"]["ports"]] == ["8000"]
    (mounted,) = (each for each in services["postgres"]["volumes"] if "role.sh" in each)
    assert (DEPLOY / mounted.split(":")[0]).stat().st_mode & 0o111


def test_selectors_find_their_pods() -> None:
    kinds = {}
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for document in documents(path):
            kinds[document["kind"], document["metadata"]["name"]] = document
    for kind, name in (("Service", "clm-api"), ("PodDisruptionBudget", "clm-api"),
                       ("Deployment", "clm-api"), ("Deployment", "clm-worker")):  # fmt: skip
        selector = kinds[kind, name]["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        pod = kinds["Deployment", name]["spec"]["template"]
        assert wanted.items() <= pod["metadata"]["labels"].items()


@pytest.mark.parametrize("path", sorted((DEPLOY / "systemd").glob("*.service")), ids=str)
def test_units_run_commands_that_exist(path: Path) -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read(path)
    assert unit["Unit"]["Description"]
    service = unit["Service"]
    words = shlex.split(service["ExecStart"])
    if words[0] == "/bin/sh":
        words = shlex.split(words[2].removeprefix("exec "))
    assert words[0] == "/opt/clm/bin/clm"
    check_command(words[1:])
    assert service["NoNewPrivileges"] == "yes"
    for after in unit["Unit"].get("Requires", "").split():
        assert (path.parent / after).exists()
