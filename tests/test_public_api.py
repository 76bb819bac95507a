"""The public names, and where they come from."""

import subprocess
import sys

import pytest

import pytest_replicalag

NAMES = {
    "CallSite": "pytest_replicalag.records",
    "ClockError": "pytest_replicalag.errors",
    "Duration": "pytest_replicalag.durations",
    "EndlessWaitError": "pytest_replicalag.errors",
    "EngineError": "pytest_replicalag.errors",
    "Failover": "pytest_replicalag.records",
    "Fix": "pytest_replicalag.records",
    "Lane": "pytest_replicalag.records",
    "LostWrite": "pytest_replicalag.records",
    "Member": "pytest_replicalag.control",
    "MissedWrite": "pytest_replicalag.records",
    "MongoClient": "pytest_replicalag.clients",
    "NoElectionError": "pytest_replicalag.errors",
    "NodeError": "pytest_replicalag.errors",
    "NotWrappableError": "pytest_replicalag.errors",
    "ReplicaLag": "pytest_replicalag.control",
    "ReplicaLagError": "pytest_replicalag.errors",
    "ScheduleError": "pytest_replicalag.errors",
    "SettingError": "pytest_replicalag.errors",
    "StaleRead": "pytest_replicalag.records",
    "Timeline": "pytest_replicalag.records",
    "UnknownMemberError": "pytest_replicalag.errors",
    "Witness": "pytest_replicalag.records",
    "wrap": "pytest_replicalag.clients",
}


def test_the_public_names_are_these():
    assert sorted(pytest_replicalag.__all__) == sorted([*NAMES, "__version__"])


@pytest.mark.parametrize(("name", "home"), NAMES.items())
def test_a_public_name_leads_to_its_home(name, home):
    assert getattr(pytest_replicalag, name).__module__ == home


def test_a_name_that_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError) as caught:
        pytest_replicalag.Primary  # noqa: B018
    assert str(caught.value) == "module 'pytest_replicalag' has no attribute 'Primary'"


def test_a_star_import_gives_the_public_names():
    names: dict[str, object] = {}
    exec("from pytest_replicalag import *", names)
    assert set(names) - {"__builtins__"} == {*NAMES, "__version__"}


def test_every_error_is_a_replica_lag_error():
    errors = [getattr(pytest_replicalag, name) for name in NAMES if name.endswith("Error")]
    assert len(errors) == 10
    assert all(issubclass(error, pytest_replicalag.ReplicaLagError) for error in errors)


def test_the_package_itself_imports_nothing_of_a_database():
    code = (
        "import sys, pytest_replicalag; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} "
        "& {'pymongo', 'bson', 'mongomock', 'pytest'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"
