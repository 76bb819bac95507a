"""The shop on real drivers: the same bugs are found, at the same places, and mended as well."""

import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

from demo import finding_problems, outcome_problems, run_pytest  # noqa: E402
from mongod_program import mongod_program  # noqa: E402

pytestmark = pytest.mark.slow

BUGS = {
    "orders": {"read": "find_one", "write": "insert_one"},
    "carts": {"read": "find_one", "write": "update_one"},
    "accounts": {"read": "aggregate", "write": "insert_one"},
}


@pytest.fixture(params=["pymongo", "fastapi"])
def driver(request):
    if request.param == "fastapi":
        for module in ("fastapi", "httpx"):
            pytest.importorskip(module)
    return request.param


@pytest.fixture(params=["memory", "mongod"])
def engine(request, tmp_path_factory):
    """Options of a run on an engine."""
    if request.param == "memory":
        return []
    pytest.importorskip("mirakuru")
    program = mongod_program(tmp_path_factory.mktemp("mongod"))
    return [f"--replica-lag-mongod={program}"]


def files(shop):
    """The texts of a shop's Python files."""
    folder = EXAMPLES / shop
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.py")}


@pytest.mark.parametrize("kind", ["buggy", "fixed"])
def test_the_shop_on_pymongo_differs_only_in_its_client(kind):
    on_mongomock, on_pymongo = files(f"shop_{kind}"), files(f"shop_pymongo_{kind}")
    different = {name for name in on_mongomock if on_mongomock[name] != on_pymongo.get(name)}
    assert different == {"tests/conftest.py"}
    assert on_mongomock.keys() == on_pymongo.keys()


def test_both_shops_on_fastapi_have_the_same_tests():
    buggy, fixed = files("shop_fastapi_buggy"), files("shop_fastapi_fixed")
    assert buggy.keys() == fixed.keys()
    different = {name for name in buggy if buggy[name] != fixed[name]}
    assert different == {"shop/__init__.py", *(f"shop/{module}.py" for module in BUGS)}


def test_without_lag_every_test_is_green(driver):
    code, report = run_pytest(EXAMPLES / f"shop_{driver}_buggy")
    assert outcome_problems(code, report, "3 passed") == []


def test_the_bugs_are_found(driver, engine):
    folder = EXAMPLES / f"shop_{driver}_buggy"
    code, report = run_pytest(folder, "--replica-lag=200ms", *engine)
    assert outcome_problems(code, report, "3 failed") == []
    for module, bug in BUGS.items():
        assert finding_problems(report, module, **bug, folder=folder) == []


def test_the_mended_shop_makes_no_stale_read(driver, engine):
    code, report = run_pytest(EXAMPLES / f"shop_{driver}_fixed", "--replica-lag=200ms", *engine)
    outcome = "6 passed" if driver == "pymongo" else "3 passed"
    assert outcome_problems(code, report, outcome) == []
    assert "missed" not in report
