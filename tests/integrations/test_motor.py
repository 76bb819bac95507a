"""Motor, which runs PyMongo's synchronous client on threads."""

import asyncio

import pytest

pytest.importorskip("motor")

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorGridFSBucket

APP = """
import asyncio

from motor.motor_asyncio import AsyncIOMotorClient


def finds_its_order(uri, number):
    return asyncio.run(place_and_find(uri, number))


async def place_and_find(uri, number):
    client = AsyncIOMotorClient(uri)
    await place_order(client.shop, number)
    try:
        return await find_order(client.shop, number) is not None
    finally:
        client.close()


async def place_order(db, number):
    await db.orders.insert_one({"_id": number, "status": "placed"})  # write


async def find_order(db, number):
    return await READ  # read
"""

READS = [
    ("db.orders.find_one({'_id': number})", "find_one", "None"),
    ("db.orders.find({'_id': number}).to_list(None) or None", "find", "no documents"),
]


def run(uri, database, story):
    async def main():
        client = AsyncIOMotorClient(uri)
        try:
            await story(client, client[database])
        finally:
            client.close()

    asyncio.run(main())


def test_documents(uri, database):
    async def story(client, db):
        await db.orders.insert_many([{"_id": number} for number in range(250)])
        await db.orders.update_one({"_id": 7}, {"$set": {"items": ["tea"]}})
        assert await db.orders.find_one({"items": "tea"}) == {"_id": 7, "items": ["tea"]}
        cursor = db.orders.find({"_id": {"$gte": 100}}).sort("_id").batch_size(60)
        assert [order["_id"] async for order in cursor] == list(range(100, 250))
        assert await db.orders.aggregate([{"$count": "n"}]).to_list(None) == [{"n": 250}]
        assert await db.orders.count_documents({"_id": {"$lt": 10}}) == 10
        assert await db.list_collection_names() == ["orders"]

    run(uri, database, story)


def test_many_at_once(uri, database):
    async def story(client, db):
        await asyncio.gather(*(db.orders.insert_one({"_id": number}) for number in range(40)))
        found = await asyncio.gather(*(db.orders.find_one({"_id": n}) for n in range(40)))
        assert found == [{"_id": number} for number in range(40)]

    run(uri, database, story)


def test_transactions(uri, database):
    async def story(client, db):
        await db.orders.insert_one({"_id": 1})
        async with await client.start_session() as session:
            async with session.start_transaction():
                await db.orders.insert_one({"_id": 2}, session=session)
            session.start_transaction()
            await db.orders.insert_one({"_id": 3}, session=session)
            await session.abort_transaction()
        assert await db.orders.count_documents({}) == 2

    run(uri, database, story)


def test_files(uri, database):
    async def story(client, db):
        bucket = AsyncIOMotorGridFSBucket(db)
        number = await bucket.upload_from_stream("a.bin", b"tea" * 200_000)
        stream = await bucket.open_download_stream(number)
        assert await stream.read() == b"tea" * 200_000

    run(uri, database, story)


@pytest.mark.parametrize(("read", "operation", "returned"), READS)
def test_a_stale_read_is_reported_with_the_applications_lines(
    application, read, operation, returned
):
    [found] = application.reports(APP.replace("READ", read))
    assert found.read.startswith(f"shop.orders.{operation}(")
    assert found.read_at == f"{application.site('read')} in find_order"
    [missed] = found.missed
    assert missed.startswith('insert_one({"_id": 7, "status": "placed"}), ')
    assert found.missed_at == (f"{application.site('write')} in place_order",)


def test_lines_are_found_where_a_fixture_imports_it_after_the_endpoints_have_started(application):
    application.file(
        "test_it.py",
        """
        import asyncio
        import sys

        import pytest


        @pytest.fixture
        def open_client(replica_lag_uri):
            assert "motor.frameworks.asyncio" not in sys.modules
            from motor.motor_asyncio import AsyncIOMotorClient

            return lambda: AsyncIOMotorClient(replica_lag_uri, readPreference="secondary")


        async def place_and_find(client):
            await client.shop.orders.insert_one({"_id": 7})
            await client.shop.orders.find_one()
            client.close()


        @pytest.mark.replica_lag("200ms")
        def test_it(open_client, replica_lag):
            async def story():
                await place_and_find(open_client())

            asyncio.run(story())
            [stale] = replica_lag.stale_reads
            assert stale.call_site.function == "place_and_find"
        """,
    )
    application.run().assert_outcomes(passed=1)
