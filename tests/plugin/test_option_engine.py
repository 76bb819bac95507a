"""`--replica-lag-engine` and `--replica-lag-mongod`: where the endpoints keep their data."""

import pytest

SHOP = """
import pymongo
import pytest

@pytest.mark.replica_lag
def test_it(replica_lag_uri):
    with pymongo.MongoClient(replica_lag_uri, readPreference="secondary") as client:
        client.shop.orders.insert_one({"_id": 7})
        assert client.shop.orders.find_one({"_id": 7}) is None

def test_other():
    pass
"""

LAG = "--replica-lag=200ms"


def test_memory_is_the_default_and_can_be_said(project):
    project.file("test_it", SHOP)
    project.run(LAG).assert_outcomes(passed=2)
    project.run(LAG, "--replica-lag-engine=memory").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--replica-lag-engine=mongo",), "*'mongo' is not one of memory, mongod*"),
        (("--replica-lag-mongod=/nowhere/mongod",), "*there is no file '/nowhere/mongod'; write*"),
        (("--replica-lag-mongod=http://localhost",), "*'http://localhost' is not of a mongod*"),
        (
            ("--replica-lag-engine=memory", "--replica-lag-mongod=mongodb://127.0.0.1"),
            "*--replica-lag-mongod: the engine memory needs no MongoDB node*",
        ),
    ],
)
def test_a_bad_value_is_a_usage_error(project, options, problem):
    project.file("test_it", SHOP)
    result = project.run(LAG, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([problem])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("mongodb://127.0.0.1:1", "the mongod at 127.0.0.1:1 is not up, or is none: *refused*"),
        ("mongodb://192.0.2.1", "192.0.2.1 is not this machine, and a test tool must not*"),
    ],
)
def test_a_node_that_cannot_be_used_fails_the_tests_that_need_it(project, uri, problem):
    project.file("test_it", SHOP)
    result = project.run(LAG, f"--replica-lag-mongod={uri}")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([problem])


def test_the_password_is_not_in_the_command_that_replays(project):
    project.file(
        "test_it",
        "import mongomock\nimport pytest\nimport pytest_replicalag\n"
        "from pymongo import ReadPreference\n\n"
        "@pytest.mark.replica_lag\ndef test_it():\n"
        "    client = mongomock.MongoClient(read_preference=ReadPreference.SECONDARY)\n"
        "    orders = pytest_replicalag.wrap(client).shop.orders\n"
        "    orders.insert_one({})\n    assert orders.find_one()\n",
    )
    result = project.run(LAG, "--replica-lag-mongod=mongodb://me:secret@127.0.0.1:1/")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["replay *mongodb://me:…@127.0.0.1:1/*"])
    assert "secret" not in result.stdout.str()
