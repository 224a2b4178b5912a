"""What the documents name exists: paths, modules, functions, tests, operations, links, tables."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from app.config import PREFIX, Settings
from app.lifecycle.variables.registry import VARIABLES
from app.models import Base
from tests import openapi, tables

ROOT = Path(__file__).parents[2]
NAMING = ("ARCHITECTURE.md", "docs/newcomers.md", "docs/glossary.md", "docs/tables.md")
"""Pages on which every word in backticks is of the code or of the API."""
FOLDERS = ("app", "clm_service", "tests", "migrations", "benchmarks")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ELSEWHERE = {"Idempotency-Key", "CHECK", "PK", '"or null"'}
"""Words of HTTP and SQL, and of the drawing itself."""


def documents() -> list[Path]:
    """Return every page of ours."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    for folder in FOLDERS:
        found += (ROOT / folder).rglob("*.md")
    return sorted(path for path in found if "node_modules" not in path.parts)


def in_order(page: str) -> Iterator[tuple[int, str, bool]]:
    """Yield the lines of a page by number, and whether they stand in a block of code."""
    inside = False
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            inside = not inside
        else:
            yield number, line, inside


def named(page: str) -> Iterator[tuple[int, str]]:
    """Yield what a page names: words in backticks, and the paths of its trees."""
    paragraphs: list[tuple[int, str]] = []
    for number, line, inside in in_order(page):
        if inside:
            tree = re.findall(rf"(?<![\w/])(?:{'|'.join(FOLDERS)}|docs)/[\w/.]*", line)
            yield from ((number, path) for path in tree)
        elif paragraphs and paragraphs[-1][1].count("`") % 2:  # a word that goes over the line
            paragraphs[-1] = (paragraphs[-1][0], f"{paragraphs[-1][1]} {line.strip()}")
        else:
            paragraphs.append((number, line))
    for number, text in paragraphs:
        yield from ((number, word) for word in re.findall("`([^`]+)`", text))


@cache
def definitions() -> dict[str, set[str]]:
    """Return by module, package and class, without what holds them, the names in each."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            stem = path.parent.name if path.stem == "__init__" else path.stem
            if path.stem != "__init__":
                found[path.parent.name].add(path.stem)
            found[path.parent.parent.name].add(path.parent.name)
            collect(found, stem, ast.parse(path.read_text(encoding="utf-8")))
    for table in Base.metadata.tables.values():
        found[table.name] |= set(table.columns.keys())
    return found


def collect(found: defaultdict[str, set[str]], scope: str, node: ast.AST) -> None:
    for each in ast.iter_child_nodes(node):
        match each:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found[scope].add(name)
            case ast.ClassDef(name=name):
                found[scope].add(name)
                collect(found, name, each)
            case ast.AnnAssign(target=ast.Name(id=name)):
                found[scope].add(name)
            case ast.Assign(targets=targets):
                found[scope] |= {one.id for one in targets if isinstance(one, ast.Name)}


@cache
def words() -> set[str]:
    """Return all names of the code, variables of rules, and fields and parameters of the API."""
    found = set(definitions()).union(*definitions().values(), VARIABLES)
    document = openapi.committed()
    for schema in document["components"]["schemas"].values():
        found |= schema.get("properties", {}).keys()
    for _, _, operation in openapi.operations(document):
        found |= {each["name"] for each in operation.get("parameters", ())}
        found |= {operation["operationId"], operation.get("x-required-scope", "")}
    return found


def is_path(word: str) -> bool:
    """Say whether there is such a file, also without the folder `app` and the ending."""
    for start in ("", "app/", "app/services/"):
        path = ROOT / f"{start}{word.rstrip('/')}"
        if path.exists() or path.with_name(f"{path.name}.py").exists():
            return True
    return word.startswith("docs/decisions/") and any(ROOT.glob(f"{word}-*.md"))


def is_test(word: str) -> bool:
    path, _, name = word.partition("::")
    return (ROOT / path).is_file() and f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


def is_command(word: str) -> bool:
    program, name = word.split()[:2]
    file, pattern = {
        "make": ("Makefile", rf"^{name}:"),
        "clm": ("app/cli/commands.py", rf'name="{name}"|^def {name}\('),
    }[program]
    return bool(re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE))


def is_operation(word: str) -> bool:
    method, *path = word.lower().split()
    offered = openapi.committed()["paths"]
    asked = [offered.get(path[0], {})] if path else offered.values()
    return any(method in each for each in asked)


def is_name(word: str) -> bool:
    *holders, name = word.removesuffix("()").split(".")
    return name in (definitions().get(holders[-1], ()) if holders else words())


def exists(word: str) -> bool:
    """Say whether a word names something that there is."""
    first, *more = word.split()
    if first in METHODS:
        return is_operation(word)
    if first in ("make", "clm") and more:
        return is_command(word)
    if "::" in word:
        return is_test(word)
    if "/" in word or re.search(r"\.(py|md|json|toml)$", word):
        return is_path(word)
    if word.startswith(PREFIX):
        return word.removeprefix(PREFIX).lower() in Settings.model_fields
    return word in ELSEWHERE or is_name(word)


@pytest.mark.parametrize("page", NAMING)
def test_what_a_page_names_exists(page: str) -> None:
    stale = [f"{page}:{number}: {word}" for number, word in named(page) if not exists(word)]
    assert not stale, f"not in the code any more, or called otherwise: {stale}"


def test_what_does_not_exist_is_found() -> None:
    for word in (
        "app/services/regimes", "services/ingest/no_facts", "customers.hold", "nothing_of_this()",
        "POST /v1/moves", "CLM_NOTHING", "make nothing", "clm nothing", "docs/decisions/0999",
        "tests/unit/test_documents.py::test_of_nothing", "placement.nothing()", "NoSuchClass",
    ):  # fmt: skip
        assert not exists(word), word


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for path in documents():
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            file = target.partition("#")[0]
            if file and "://" not in file and not (path.parent / file).exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert not broken


def test_every_room_has_its_line_on_the_newcomers_page() -> None:
    page = (ROOT / "docs/newcomers.md").read_text(encoding="utf-8")
    rooms = [*ROOT.glob("app/*/__init__.py"), *ROOT.glob("app/*/*/__init__.py")]
    names = {f"{room.parent.relative_to(ROOT)}/" for room in rooms}
    names -= {"app/services/", "app/scoring/"}  # each has a list of its own
    same = ("app/routers/", "app/schemas/")  # the rooms in them are those of services
    assert not [
        name
        for name in sorted(names)
        if f"\n{name} " not in page and not (name.startswith(same) and name not in same)
    ]


def test_every_file_of_the_application_is_on_the_map() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    files = {f"app/{path.name}" for path in (ROOT / "app").glob("*.py")} - {"app/__init__.py"}
    assert not {file for file in files if file not in page}


def test_every_setting_has_its_line_in_the_page_for_operations() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    told = set(re.findall(rf"`{PREFIX}(\w+)`", page))
    assert told == {name.upper() for name in Settings.model_fields}


def test_decisions_are_numbered_as_their_files_are() -> None:
    for path in (ROOT / "docs/decisions").glob("*.md"):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith(f"# {int(path.name[:4])}. "), f"{path.name}: {first}"


def test_every_router_is_served() -> None:
    imported = (ROOT / "app/main.py").read_text(encoding="utf-8")
    for path in (ROOT / "app/routers").rglob("*.py"):
        if "routes = router(" in path.read_text(encoding="utf-8"):
            listed = re.search(rf"^        {path.stem},$", imported, re.MULTILINE)
            assert listed, path.name


def test_the_page_of_the_tables_is_drawn_from_the_models() -> None:
    page = (ROOT / "docs/tables.md").read_text(encoding="utf-8")
    assert page == tables.text(), "docs/tables.md is not what the models say: run `make tables`"
