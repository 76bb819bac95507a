"""Imports run one way: what each room may import, read from the sources."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pytest_replicalag"

LAYERS = (
    ("plugin",),
    ("hooks", "command_line"),
    ("run_setup", "item_settings"),
    ("reporter",),
    ("report_files",),
    ("item_runs",),
    ("run_options", "progress", "all_tests"),
    ("running", "strategies"),
    ("control", "sleeping"),
    ("interception",),
    ("clients",),
    ("drivers",),
    ("endpoints",),
    ("simulation",),
    ("failovers", "timelines"),
    ("fronts",),
    ("engines",),
    ("settings",),
    ("words",),
    ("explore",),
    ("replicaset",),
    ("checker", "report"),
    ("records",),
    ("call_sites", "durations", "engine_choice", "errors", "options"),
)
"""A room may import rooms of later rows only."""

RANKS = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}

FORBIDDEN = {
    # The model knows nothing of what it is used by, nor of data and threads.
    "replicaset": {"records", "call_sites", "checker", "report", "pytest", "mongomock"}
    | {"mongomock_ng", "threading", "socket", "asyncio"},
    "engines": {"settings", "report", "checker", "pytest"},
    "fronts": {"settings", "report", "checker", "pytest"},
    "checker": {"pytest", "mongomock", "threading", "errors"},
    "report": {"pytest", "mongomock", "threading", "call_sites"},
    "settings": {"pytest", "pymongo", "bson", "mongomock", "records"},
    "explore": {"pytest", "pymongo", "bson", "mongomock", "records"},
    "words": {"pytest", "pymongo", "bson", "mongomock", "records"},
}
"""What a room must not import although a row below, or from elsewhere."""

PUBLIC = {"__init__", "__main__"}  # only names, loaded when they are asked for


def imports(source: str) -> set[str]:
    """The rooms of this package, and the other packages, that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide their arrow"
            assert node.module is not None
            names = [node.module]
            if node.module == "pytest_replicalag":
                names = [f"pytest_replicalag.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, inside = name.partition(".")
            ours = package == "pytest_replicalag" and inside
            found.add(inside.partition(".")[0] if ours else package)
    return found


def wrong_arrows(room: str, source: str) -> set[str]:
    """What a module of a room imports and must not."""
    rank = RANKS[room]
    return {
        name
        for name in imports(source)
        if (name in RANKS and name != room and RANKS[name] <= rank)
        or name in FORBIDDEN.get(room, set())
    }


MODULES = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0].removesuffix(".py") not in PUBLIC
)


def room_of(module: str) -> str:
    return module.partition("/")[0].removesuffix(".py")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_rooms_below_its_own_only(module):
    assert wrong_arrows(room_of(module), (PACKAGE / module).read_text("utf-8")) == set()


def test_every_room_has_its_row():
    assert {room_of(module) for module in MODULES} == set(RANKS)


@pytest.mark.parametrize(
    ("room", "line", "arrow"),
    [
        ("replicaset", "from pytest_replicalag.simulation import Simulation", "simulation"),
        ("replicaset", "import pytest_replicalag.engines.memory", "engines"),
        ("replicaset", "from pytest_replicalag import fronts", "fronts"),
        ("replicaset", "import threading", "threading"),
        ("replicaset", "def late():\n    import mongomock.collection", "mongomock"),
        ("engines", "from pytest_replicalag.fronts.governor import Governor", "fronts"),
        ("fronts", "from pytest_replicalag.simulation import governor", "simulation"),
        ("checker", "from pytest_replicalag.report import terminal", "report"),
        ("report", "from pytest_replicalag.simulation import Simulation", "simulation"),
        ("simulation", "from pytest_replicalag.plugin import _State", "plugin"),
        ("records", "from pytest_replicalag.checker.shorten import Shortener", "checker"),
    ],
)
def test_a_wrong_arrow_is_caught(room, line, arrow):
    assert wrong_arrows(room, line) == {arrow}


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("plugin", "from pytest_replicalag.simulation import Simulation"),
        ("simulation", "from pytest_replicalag.fronts.governor import Running"),
        ("engines", "from pytest_replicalag.replicaset.oplog import Oplog"),
        ("replicaset", "from pytest_replicalag.replicaset.member import Member"),
    ],
)
def test_a_right_arrow_is_let_through(room, line):
    assert wrong_arrows(room, line) == set()


def test_nothing_but_dependencies_and_the_standard_library_is_imported():
    allowed = {
        "pytest",
        "pymongo",
        "bson",
        "mongomock",
        "mongomock_ng",
        "mirakuru",
        "hypothesis",
        "fastjsonschema",
        "jinja2",
        "__version__",  # of this package
        *RANKS,
    }
    allowed |= sys.stdlib_module_names
    sources = [path.read_text("utf-8") for path in PACKAGE.rglob("*.py")]
    assert set().union(*map(imports, sources)) - allowed == set()


# -- the maps that a newcomer reads --------------------------------------------------------------


def test_the_map_of_the_package_has_all_of_it():
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text("utf-8")
    told = re.findall(
        r"^  (\S+?)/? +\S", text.partition("\n```\n")[2].partition("```")[0], re.MULTILINE
    )
    there = {path.name for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert set(told) == there - {"__main__.py", "__pycache__"}
    assert len(told) == len(set(told))


ROOMS = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_that_lists_its_modules_lists_them_all(room):
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    told = re.findall(r"`(\w+\.py)`", docstring)
    there = {path.name for path in room.glob("*.py")} - {"__init__.py"}
    assert set(told) in (set(), there)
    assert len(told) == len(set(told))
