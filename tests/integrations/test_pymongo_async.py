"""PyMongo, asynchronous."""

import asyncio

import pymongo
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import DuplicateKeyError

APP = """
import asyncio

from pymongo import AsyncMongoClient


def finds_its_order(uri, number):
    return asyncio.run(place_and_find(uri, number))


async def place_and_find(uri, number):
    async with AsyncMongoClient(uri) as client:
        await place_order(client.shop, number)
        return await find_order(client.shop, number) is not None


async def place_order(db, number):
    await db.orders.insert_one({"_id": number, "status": "placed"})  # write


async def find_order(db, number):
    return await db.orders.find_one({"_id": number})  # read
"""


def run(uri, database, story):
    async def main():
        async with AsyncMongoClient(uri) as client:
            await story(client, client[database].orders)

    asyncio.run(main())


def test_documents(uri, database):
    async def story(client, orders):
        await orders.insert_many([{"_id": number} for number in range(250)])
        await orders.update_many({"_id": {"$lt": 3}}, {"$set": {"items": ["tea"]}})
        await orders.delete_one({"_id": 0})
        cursor = orders.find({"_id": {"$gte": 100}}).sort("_id").batch_size(60)
        assert [order["_id"] async for order in cursor] == list(range(100, 250))
        total = [{"$match": {"items": "tea"}}, {"$count": "n"}]
        assert await (await orders.aggregate(total)).to_list() == [{"n": 2}]
        options = {"return_document": pymongo.ReturnDocument.AFTER}
        changed = await orders.find_one_and_update({"_id": 1}, {"$unset": {"items": 1}}, **options)
        assert changed == {"_id": 1}
        assert await orders.count_documents({}) == 249

    run(uri, database, story)


def test_unique_indexes(uri, database):
    async def story(client, orders):
        await orders.create_index("number", unique=True)
        await orders.insert_one({"number": 7})
        with pytest.raises(DuplicateKeyError):
            await orders.insert_one({"number": 7})

    run(uri, database, story)


def test_many_at_once(uri, database):
    async def story(client, orders):
        await asyncio.gather(*(orders.insert_one({"_id": number}) for number in range(40)))
        found = await asyncio.gather(*(orders.find_one({"_id": number}) for number in range(40)))
        assert found == [{"_id": number} for number in range(40)]

    run(uri, database, story)


def test_transactions(uri, database):
    async def story(client, orders):
        await orders.insert_one({"_id": 1})
        async with client.start_session() as session:
            async with await session.start_transaction():
                await orders.insert_one({"_id": 2}, session=session)
            await session.start_transaction()
            await orders.insert_one({"_id": 3}, session=session)
            await session.abort_transaction()
        assert await orders.count_documents({}) == 2

    run(uri, database, story)


def test_change_streams(uri, database):
    async def story(client, orders):
        async with await orders.watch(max_await_time_ms=100) as stream:
            await orders.insert_one({"_id": 7})
            change = await stream.next()
        assert change["fullDocument"] == {"_id": 7}

    run(uri, database, story)


def test_a_stale_read_is_reported_with_the_applications_lines(application):
    [found] = application.reports(APP)
    assert found.read == 'shop.orders.find_one({"_id": 7}) returned None'
    assert found.read_at == f"{application.site('read')} in find_order"
    [missed] = found.missed
    assert missed.startswith('insert_one({"_id": 7, "status": "placed"}), ')
    assert found.missed_at == (f"{application.site('write')} in place_order",)
