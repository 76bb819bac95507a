"""The suite on a real driver, which finds the simulated replica set by its URI.

No other file differs from ../../shop_fixed.
"""

import pymongo
import pytest


@pytest.fixture
def client(replica_lag_uri):
    with pymongo.MongoClient(replica_lag_uri, readPreference="secondaryPreferred") as client:
        client.drop_database("shop")  # of the test before; the set lives as long as the run
        yield client


@pytest.fixture
def db(client):
    return client.shop
