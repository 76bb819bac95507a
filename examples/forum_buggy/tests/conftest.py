import mongomock
import pytest
from pymongo import ReadPreference


@pytest.fixture
def client():
    return mongomock.MongoClient(read_preference=ReadPreference.SECONDARY_PREFERRED)
