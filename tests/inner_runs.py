"""A small project whose tests are run by a pytest of their own."""

from __future__ import annotations

import textwrap

import pytest

__all__ = ["Project"]

PATIENCE_S = 300

CONFTEST = """
import mongomock
import pytest
from pymongo import ReadPreference

from pytest_replicalag import wrap


@pytest.fixture
def client():
    return wrap(mongomock.MongoClient(read_preference=ReadPreference.SECONDARY_PREFERRED))


@pytest.fixture
def db(client):
    return client.shop
"""

APP = """
def place_order(db, number):
    db.orders.insert_one({"_id": number, "status": "placed"})


def get_order(db, number):
    return db.orders.find_one({"_id": number})
"""

BUGGY_TEST = """
import pytest
from app import get_order, place_order


@pytest.mark.replica_lag
def test_order(db):
    place_order(db, 7)
    assert get_order(db, 7)["status"] == "placed"
"""


class Project:
    """A project with a `client` fixture that may read from secondaries, and a buggy `app`."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.pytester.makeconftest(CONFTEST)
        self.file("app", APP)

    @property
    def path(self):
        return self.pytester.path

    def file(self, name: str, text: str) -> None:
        """Write a module."""
        path = self.path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")

    def buggy(self) -> None:
        """Write the test that reads its own write from a secondary."""
        self.file("test_orders", BUGGY_TEST)

    def ini(self, *lines: str) -> None:
        """Write the ini file."""
        self.pytester.makeini("\n".join(["[pytest]", *lines]))

    def run(self, *args: str, plugins: tuple[str, ...] = ()) -> pytest.RunResult:
        """Run the tests with this plugin and the given others, in this process."""
        return self.pytester.runpytest_inprocess(*_arguments(plugins), *args)

    def run_apart(self, *args: str, plugins: tuple[str, ...] = ()) -> pytest.RunResult:
        """The same in a process of its own, which must not hang."""
        return self.pytester.runpytest_subprocess(*_arguments(plugins), *args, timeout=PATIENCE_S)

    def refused(self, *args: str, plugins: tuple[str, ...] = (), apart: bool = False) -> str:
        """Run what must be a usage error; returns its text."""
        result = (self.run_apart if apart else self.run)(*args, plugins=plugins)
        assert result.ret == pytest.ExitCode.USAGE_ERROR, result.stdout.str()
        [line] = [line for line in result.errlines if line.startswith("ERROR: ")]
        assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
        return line.removeprefix("ERROR: ")


def _arguments(plugins: tuple[str, ...]) -> list[str]:
    names = ["pytest_replicalag.plugin", *plugins]
    # pytest 8 would warn that the plugin, which this process has loaded, cannot be rewritten.
    others = ["-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return [word for name in names for word in ("-p", name)] + others
