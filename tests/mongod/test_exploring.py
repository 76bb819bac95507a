"""Exploring on the engine mongod: the node reads its past wherever a schedule says."""

import textwrap

CONFTEST = """
    import pymongo
    import pytest

    @pytest.fixture(scope="session")
    def client(replica_lag_uri):
        with pymongo.MongoClient(replica_lag_uri, readPreference="secondaryPreferred") as client:
            yield client

    @pytest.fixture
    def db(client):
        client.shop.carts.delete_many({})
        return client.shop
"""

TESTS = """
    import pytest

    pytestmark = pytest.mark.replica_lag

    def test_views(db):
        db.carts.insert_one({"_id": 1})
        first = db.carts.find_one({"_id": 1})
        second = db.carts.find_one({"_id": 1})
        assert not (first and not second)

    def test_session(db, client):
        with client.start_session(causal_consistency=True) as session:
            db.carts.insert_one({"_id": 1}, session=session)
            assert db.carts.find_one({"_id": 1}, session=session)
            assert db.carts.count_documents({}, session=session) == 1

    def test_accepts_it(db):
        db.carts.insert_one({"_id": 1})
        db.carts.find_one({"_id": 1})
"""


def test_a_schedule_is_found_and_others_are_exhausted(project, node):
    project.pytester.makeconftest(textwrap.dedent(CONFTEST))
    project.file("test_it", TESTS)
    result = project.run("--replica-lag-explore=100", f"--replica-lag-mongod={node.uri}")
    result.assert_outcomes(failed=1, passed=2)
    told = result.stdout.str()
    assert "is served by secondary-2 without" in told
    assert "test_it.py::test_session: all 2 schedules pass" in told
    assert "test_it.py::test_accepts_it: all 2 schedules pass" in told
