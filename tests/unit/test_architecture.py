"""The rooms of the house: what the import contracts cannot say."""

import ast
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
MOST = {"app.services": (15, 45), "app.scoring": (8, 16)}
"""Rooms of a layer, and arrows between them."""
LONG = {"app/postgres/embedded.py", "app/lifecycle/records.py"}
"""It starts itself as a script, with the standard library alone."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("app")


@pytest.mark.parametrize("layer", MOST)
def test_a_layer_has_few_rooms_and_few_ways_between_them(graph, layer):
    rooms = graph.find_children(layer)
    arrows = {
        (room, other)
        for room in rooms
        for other in rooms
        if room != other and graph.direct_import_exists(importer=room, imported=other,
                                                        as_packages=True)
    }  # fmt: skip
    most_rooms, most_arrows = MOST[layer]
    assert len(rooms) <= most_rooms, sorted(rooms)
    assert len(arrows) <= most_arrows, sorted(arrows)
    assert not {(there, here) for here, there in arrows} & arrows


def private_imports() -> Iterator[str]:
    for path in (ROOT / "app").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module != module.rpartition(".")[0]:
                names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
                if any(name.startswith("_") and name != "__future__" for name in names):
                    yield f"{module} imports {node.module}: {', '.join(names)}"


def test_what_is_private_is_imported_nowhere():
    assert list(private_imports()) == []


def test_no_file_has_grown_past_what_one_reads_at_a_time():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "app").rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 300
    }
    assert set(long) <= LONG, f"split it by use case: {long}"


def test_packages_hold_no_code_of_their_own():
    """A package is a wall: nothing is passed on under another name."""
    for layer in MOST:
        for path in (ROOT / layer.replace(".", "/")).rglob("__init__.py"):
            nodes = ast.parse(path.read_text()).body
            assert all(isinstance(node, ast.Expr) for node in nodes), path
