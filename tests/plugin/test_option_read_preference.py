"""`--replica-lag-read-preference`: what clients opened without one use."""

import pytest

TEST = """
import mongomock
import pytest
from pymongo import ReadPreference
from pytest_replicalag import MongoClient, wrap

@pytest.mark.replica_lag
@pytest.mark.parametrize("open_client", [lambda: wrap(mongomock.MongoClient()), MongoClient])
def test_it(open_client):
    db = open_client().shop
    db.orders.insert_one({"_id": 7})
    assert (db.orders.find_one() is None) is STALE
    secondary = db.get_collection("orders", read_preference=ReadPreference.SECONDARY)
    assert secondary.find_one() is None
    primary = db.get_collection("orders", read_preference=ReadPreference.PRIMARY)
    assert primary.find_one() == {"_id": 7}
"""


@pytest.mark.parametrize(
    ("mode", "stale"),
    [
        ("primary", False),
        ("primaryPreferred", False),
        ("secondary", True),
        ("secondaryPreferred", True),
        ("nearest", True),
    ],
)
def test_clients_opened_without_one_use_it(project, mode, stale):
    project.file("test_it", TEST.replace("STALE", str(stale)))
    result = project.run("--replica-lag=1s", f"--replica-lag-read-preference={mode}")
    result.assert_outcomes(passed=2)


def test_it_is_primary_by_default_and_can_be_said_in_ini(project):
    project.file("test_it", TEST.replace("STALE", "False"))
    project.run("--replica-lag=1s").assert_outcomes(passed=2)
    project.file("test_it", TEST.replace("STALE", "True"))
    project.ini("replica_lag_read_preference = nearest")
    project.run("--replica-lag=1s").assert_outcomes(passed=2)


def test_what_a_client_was_opened_with_wins(project):
    project.file(
        "test_it",
        """
        import pytest
        from pytest_replicalag import MongoClient

        @pytest.mark.replica_lag
        def test_it():
            db = MongoClient("mongodb://db/?readPreference=primary").shop
            db.orders.insert_one({"_id": 7})
            assert db.orders.find_one() == {"_id": 7}
        """,
    )
    result = project.run("--replica-lag=1s", "--replica-lag-read-preference=secondary")
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(("keywords", "stale"), [("", True), (", readPreference='primary'", False)])
def test_drivers_learn_it_from_the_connection_string(project, keywords, stale):
    project.file(
        "test_it",
        f"""
        import pymongo
        import pytest

        @pytest.mark.replica_lag
        def test_it(replica_lag_uri):
            with pymongo.MongoClient(replica_lag_uri{keywords}) as client:
                client.shop.orders.insert_one({{"_id": 7}})
                assert (client.shop.orders.find_one() is None) is {stale}
        """,
    )
    result = project.run("--replica-lag=1s", "--replica-lag-read-preference=secondaryPreferred")
    result.assert_outcomes(passed=1)


def test_a_marker_says_it_to_drivers_that_connect_in_its_test(project):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag("1s", read_preference="nearest")
        def test_it(replica_lag, replica_lag_uri):
            assert replica_lag.uri == f"{replica_lag_uri}&readPreference=nearest"
        """,
    )
    project.run().assert_outcomes(passed=1)
