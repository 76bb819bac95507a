"""What an idle plugin costs: nothing is imported before a test needs it."""

import subprocess
import sys

import pytest

HEAVY = {
    "pymongo",
    "bson",
    "gridfs",
    "mongomock",
    "mongomock_ng",
    "hypothesis",
    "fastjsonschema",
    "jinja2",
    "asyncio",
}

PRINT = (
    "print('heavy:', *sorted({name.partition('.')[0] for name in __import__('sys').modules} "
    f"& {HEAVY!r}))"
)


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_importing_the_plugin_imports_nothing_heavy():
    assert run(f"import pytest_replicalag.plugin\n{PRINT}") == "heavy:\n"


@pytest.mark.parametrize("module", ["endpoints.mongod", "running"])
def test_what_a_run_on_a_node_needs_does_not_load_the_memory_engine(module):
    code = f"import pytest_replicalag.{module}, sys\n"
    loaded = "{*sys.modules} & {'mongomock', 'pytest_replicalag.engines.memory.engine'}"
    assert run(f"{code}print({loaded})") == "set()\n"


def test_the_check_itself_sees_what_is_imported():
    heavy = run(f"import asyncio, pytest_replicalag.clients\n{PRINT}").split()
    assert {"asyncio", "bson", "mongomock", "pymongo"} <= set(heavy)


@pytest.mark.parametrize(
    "arguments", [[], ["--replica-lag=200ms"], ["--help"], ["--replica-lag=200ms", "-n0"]]
)
def test_a_run_that_needs_no_simulation_imports_nothing_heavy(project, arguments):
    project.pytester.makeconftest(f"def pytest_unconfigure(config):\n    {PRINT}\n")
    project.file("app", "")
    project.file("test_it", "import pytest\n\ndef test_it(): ...\n")
    if "-n0" in arguments:
        pytest.importorskip("xdist")
        result = project.run_apart(*arguments, plugins=("xdist.plugin",))
        # What else it imports is its own affair.
        assert not {"pymongo", "mongomock", "bson"} & set(result.outlines[-1].split())
        return
    result = project.run_apart(*arguments)
    assert "heavy:" in [line.strip() for line in result.outlines]


def test_the_marker_alone_imports_nothing_while_lag_is_off(project):
    project.pytester.makeconftest(f"def pytest_unconfigure(config):\n    {PRINT}\n")
    project.file(
        "test_it",
        "import pytest\n\n@pytest.mark.replica_lag(secondaries=3)\ndef test_it(): ...\n",
    )
    result = project.run_apart()
    assert "1 test marked replica_lag ran without lag; add --replica-lag=200ms" in result.outlines
    # Its summary comes from the report, which is plain data.
    assert "heavy:" in [line.strip() for line in result.outlines]
