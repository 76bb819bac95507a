"""The web service in this process, on an asynchronous client of the simulated replica set."""

import httpx
import pytest
from pymongo import AsyncMongoClient
from shop.service import create_app


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def db(replica_lag_uri):
    async with AsyncMongoClient(replica_lag_uri, readPreference="secondaryPreferred") as client:
        await client.drop_database("shop")  # of the test before; the set lives as long as the run
        yield client.shop


@pytest.fixture
async def web(db):
    transport = httpx.ASGITransport(app=create_app(db))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client
