"""A test whose set has more members than the others', reached by a client of the whole session."""

from __future__ import annotations

TESTS = """
    import time

    import pymongo
    import pytest


    @pytest.fixture(scope="session")
    def client(replica_lag_uri):
        with pymongo.MongoClient(replica_lag_uri, heartbeatFrequencyMS=500) as client:
            yield client


    def hosts(client):
        return len(client.admin.command("hello")["hosts"])


    def test_three(client):
        assert hosts(client) == 3


    @pytest.mark.replica_lag("200ms", secondaries=4)
    def test_five(client, replica_lag):
        assert hosts(client) == len(replica_lag.members) == 5


    def test_three_again(client):
        assert hosts(client) == 3
"""


def test_a_client_of_the_session_is_told_of_the_members_of_each_test(project):
    project.file("test_it", TESTS)
    project.run("-p", "no:randomly").assert_outcomes(passed=3)
