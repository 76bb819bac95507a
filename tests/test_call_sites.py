"""The call site: the innermost frame of the project under test."""

import sysconfig
import threading
from pathlib import Path
from types import CodeType
from typing import NamedTuple

import pytest

import pytest_replicalag
from pytest_replicalag.call_sites import caller, is_driver, is_project


class Site(NamedTuple):
    code: CodeType
    line: int


SITE = "/venv/lib/python3.11/site-packages"
STANDARD = sysconfig.get_path("stdlib")
OURS = str(Path(pytest_replicalag.__file__).parent)


CALL = """
def call(rest, found):
    if rest:
        rest[0](rest[1:], found)
    else:
        found.append(caller())
"""


def site_through(*filenames):
    """The call site of an operation that is reached through these files, outermost first.

    It runs on a thread of its own, so that no frame of this file, which is of a project too, is
    below it.
    """
    calls = []
    for filename in filenames:
        names = {"caller": caller}
        exec(compile(CALL, filename, "exec"), names)
        calls.append(names["call"])
    found = []
    thread = threading.Thread(target=calls[0], args=(calls[1:], found))
    thread.start()
    thread.join()
    [(code, line)] = found
    return Site(code, line)


@pytest.mark.parametrize(
    "filename",
    [
        "/project/app/orders.py",
        "/project/tests/test_orders.py",
        "<doctest orders[0]>",
        "/site/packages.py",
    ],
)
def test_files_of_the_project(filename):
    assert is_project(filename)


@pytest.mark.parametrize(
    "filename",
    [
        f"{STANDARD}/asyncio/tasks.py",
        "/venv/lib/python3.11/site-packages/requests/api.py",
        "/usr/lib/python3/dist-packages/pymongo/collection.py",
        f"{OURS}/simulation.py",
        "<string>",
        "<frozen importlib._bootstrap>",
    ],
)
def test_files_that_are_not_of_the_project(filename):
    assert not is_project(filename)


def test_a_virtual_environment_inside_the_project_is_not_of_it():
    assert not is_project("/project/.venv/lib/python3.11/site-packages/requests/api.py")


def test_drivers_by_module():
    assert is_driver("pymongo.synchronous.pool")
    assert is_driver("mongomock")
    assert not is_driver("pymongo_helpers")
    assert not is_driver("app.mongomock")


def test_a_call_site_is_a_line_of_a_function():
    site = site_through("/project/a.py", "/project/b.py")
    assert (site.code.co_filename, site.code.co_name, site.line) == ("/project/b.py", "call", 6)
    site = site_through("/project/a.py", f"{SITE}/pymongo/pool.py")
    assert (site.code.co_filename, site.code.co_name, site.line) == ("/project/a.py", "call", 4)


@pytest.mark.parametrize(
    "skipped",
    [
        f"{OURS}/fronts/mongomock/operations.py",
        f"{SITE}/mongomock/collection.py",
        f"{SITE}/pymongo/collection.py",
        f"{SITE}/mongoengine/queryset/base.py",
        f"{SITE}/beanie/odm/documents.py",
        f"{SITE}/_pytest/python.py",
        f"{SITE}/somebody/elses.py",
        f"{STANDARD}/functools.py",
        "<string>",
    ],
)
def test_what_lies_between_the_project_and_the_operation_is_skipped(skipped):
    site = site_through("/project/a.py", "/project/b.py", skipped, skipped)
    assert site.code.co_filename == "/project/b.py"


@pytest.mark.parametrize("tool", ["pymongo", "mongomock", "mongoengine", "odmantic", "_pytest"])
def test_without_the_project_it_is_the_innermost_of_another_package(tool):
    site = site_through(f"{SITE}/one/a.py", f"{SITE}/two/b.py", f"{SITE}/{tool}/c.py")
    assert site.code.co_filename == f"{SITE}/two/b.py"


def test_without_any_other_frame_it_is_the_outermost():
    site = site_through(f"{SITE}/pymongo/a.py", f"{SITE}/mongomock/b.py")
    assert site.code.co_filename == threading.__file__
