"""`replica_lag_fixtures`: fixtures whose values are wrapped with no change of code."""

import pytest

PLAIN = """
import mongomock, pytest
from pymongo import ReadPreference

@pytest.fixture(scope="SCOPE")
def mongo():
    client = mongomock.MongoClient(read_preference=ReadPreference.SECONDARY_PREFERRED)
    YIELD client

@pytest.fixture
def orders(mongo):
    return mongo.shop.orders
"""

TEST = """
import mongomock, pytest

@pytest.mark.replica_lag("1s")
@pytest.mark.parametrize("number", [1, 2])
def test_it(mongo, orders, number):
    assert isinstance(mongo, mongomock.MongoClient)
    before = orders.count_documents({})
    orders.insert_one({})
    assert orders.count_documents({}) == before + SEEN
"""


@pytest.mark.parametrize("scope", ["function", "module", "session"])
@pytest.mark.parametrize("how", ["return", "yield"])
def test_the_values_of_named_fixtures_are_wrapped(project, scope, how):
    project.pytester.makeconftest(PLAIN.replace("SCOPE", scope).replace("YIELD", how))
    project.ini("replica_lag_fixtures = mongo other_client")
    project.file("test_it", TEST.replace("SEEN", "0"))
    project.run().assert_outcomes(passed=2)


def test_other_fixtures_are_left_alone(project):
    project.pytester.makeconftest(PLAIN.replace("SCOPE", "function").replace("YIELD", "return"))
    project.ini("replica_lag_fixtures = other_client")
    project.file("test_it", TEST.replace("SEEN", "1"))
    project.run().assert_outcomes(passed=2)


def test_a_fixture_that_wraps_by_itself_may_be_named(project):
    project.ini("replica_lag_fixtures = client")
    project.buggy()
    project.run("--replica-lag=1s").assert_outcomes(failed=1)


def test_a_value_that_cannot_be_wrapped_is_told_to_every_test_without_a_traceback(project):
    project.ini("replica_lag_fixtures = mongo")
    project.file(
        "test_it",
        """
        import mongomock, pytest

        @pytest.fixture(scope="session")
        def mongo():
            return mongomock.MongoClient().shop

        def test_one(mongo): ...

        def test_two(mongo): ...
        """,
    )
    result = project.run()
    result.assert_outcomes(errors=2)
    message = (
        "replica_lag_fixtures names the fixture 'mongo', but its value cannot be wrapped: cannot "
        "wrap a mongomock.database.Database: wrap() takes a client of mongomock, mongomock_ng, "
        "PyMongo or Motor; wrap the client that it belongs to"
    )
    assert result.outlines.count(message) == 2
    assert "pytest_replicalag" not in result.stdout.str()


def test_a_fixture_that_fails_fails_as_it_does_without(project):
    project.ini("replica_lag_fixtures = mongo")
    project.file(
        "test_it",
        """
        import pytest

        @pytest.fixture
        def mongo():
            raise RuntimeError("no database today")

        def test_it(mongo): ...
        """,
    )
    result = project.run()
    result.assert_outcomes(errors=1)
    assert "E       RuntimeError: no database today" in result.outlines


def test_what_is_no_name_is_a_usage_error(project):
    project.ini("replica_lag_fixtures = mongo,db")
    assert project.refused() == (
        "replica_lag_fixtures in the ini file: 'mongo,db' is not a fixture's name; separate names "
        "by spaces"
    )
