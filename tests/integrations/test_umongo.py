"""uMongo, with its PyMongo and its Motor instance."""

import asyncio

import pytest

umongo = pytest.importorskip("umongo")

import pymongo
from motor.motor_asyncio import AsyncIOMotorClient
from umongo import Document, fields
from umongo.frameworks import MotorAsyncIOInstance, PyMongoInstance

SYNC_APP = """
import pymongo
from umongo import Document, fields
from umongo.frameworks import PyMongoInstance

instance = PyMongoInstance()


@instance.register
class Order(Document):
    number = fields.IntField()
    status = fields.StrField()


def finds_its_order(uri, number):
    with pymongo.MongoClient(uri) as client:
        instance.set_db(client.shop)
        place_order(number)
        return find_order(number) is not None


def place_order(number):
    Order(number=number, status="placed").commit()  # write


def find_order(number):
    return Order.find_one({"number": number})  # read
"""

ASYNC_APP = """
import asyncio

from motor.motor_asyncio import AsyncIOMotorClient
from umongo import Document, fields
from umongo.frameworks import MotorAsyncIOInstance

instance = MotorAsyncIOInstance()


@instance.register
class Order(Document):
    number = fields.IntField()
    status = fields.StrField()


def finds_its_order(uri, number):
    return asyncio.run(place_and_find(uri, number))


async def place_and_find(uri, number):
    client = AsyncIOMotorClient(uri)
    try:
        instance.set_db(client.shop)
        await place_order(number)
        return await find_order(number) is not None
    finally:
        client.close()


async def place_order(number):
    await Order(number=number, status="placed").commit()  # write


async def find_order(number):
    return await Order.find_one({"number": number})  # read
"""


def models(instance):
    class Order(Document):
        number = fields.IntField(unique=True)
        things = fields.ListField(fields.StrField())

    return instance.register(Order)


def test_documents_with_pymongo(uri, database):
    with pymongo.MongoClient(uri) as client:
        order_class = models(PyMongoInstance(client[database]))
        order_class.ensure_indexes()
        for number in (7, 8, 9):
            order_class(number=number, things=[]).commit()
        order = order_class.find_one({"number": 8})
        order.things.append("tea")
        order.commit()
        found = order_class.find({"number": {"$gt": 7}}).sort("number", -1)
        assert [(order.number, list(order.things)) for order in found] == [(9, []), (8, ["tea"])]
        order.delete()
        assert order_class.count_documents({}) == 2
        with pytest.raises(umongo.ValidationError):
            order_class(number=7).commit()


def test_documents_with_motor(uri, database):
    async def main():
        client = AsyncIOMotorClient(uri)
        try:
            order_class = models(MotorAsyncIOInstance(client[database]))
            await order_class.ensure_indexes()
            for number in (7, 8):
                await order_class(number=number, things=[]).commit()
            order = await order_class.find_one({"number": 8})
            order.things.append("tea")
            await order.commit()
            assert await order_class.count_documents({"things": "tea"}) == 1
            await order.delete()
            assert [order.number async for order in order_class.find()] == [7]
        finally:
            client.close()

    asyncio.run(main())


@pytest.mark.parametrize("app", [SYNC_APP, ASYNC_APP], ids=["sync", "async"])
def test_a_stale_read_is_reported_with_the_applications_lines(application, app):
    [found] = application.reports(app)
    assert found.read.startswith('shop.order.find_one({"number": 7})')
    assert found.read_at == f"{application.site('read')} in find_order"
    assert found.missed[0].startswith('insert_one({"_id": ObjectId(#1), "number": 7')
    assert found.missed_at == (f"{application.site('write')} in place_order",)
