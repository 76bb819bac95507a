"""The suite as it always was: mongomock, opened as production opens its client."""

import mongomock
import pytest
from pymongo import ReadPreference


@pytest.fixture
def client():
    return mongomock.MongoClient(read_preference=ReadPreference.SECONDARY_PREFERRED)


@pytest.fixture
def db(client):
    return client.shop
