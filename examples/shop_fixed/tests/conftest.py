"""The suite with the client wrapped in code, instead of by name in pytest.ini."""

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
