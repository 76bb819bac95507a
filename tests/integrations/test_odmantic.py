"""ODMantic: its asynchronous engine on Motor, its synchronous one on PyMongo."""

import asyncio

import pytest

odmantic = pytest.importorskip("odmantic")

import pymongo
from motor.motor_asyncio import AsyncIOMotorClient

SYNC_APP = """
import pymongo
from odmantic import Model, SyncEngine


class Order(Model):
    number: int
    status: str


def finds_its_order(uri, number):
    with pymongo.MongoClient(uri) as client:
        engine = SyncEngine(client=client, database="shop")
        place_order(engine, number)
        return find_order(engine, number) is not None


def place_order(engine, number):
    engine.save(Order(number=number, status="placed"))  # write


def find_order(engine, number):
    return engine.find_one(Order, Order.number == number)  # read
"""

ASYNC_APP = """
import asyncio

from motor.motor_asyncio import AsyncIOMotorClient
from odmantic import AIOEngine, Model


class Order(Model):
    number: int
    status: str


def finds_its_order(uri, number):
    return asyncio.run(place_and_find(uri, number))


async def place_and_find(uri, number):
    client = AsyncIOMotorClient(uri)
    try:
        engine = AIOEngine(client=client, database="shop")
        await place_order(engine, number)
        return await find_order(engine, number) is not None
    finally:
        client.close()


async def place_order(engine, number):
    await engine.save(Order(number=number, status="placed"))  # write


async def find_order(engine, number):
    return await engine.find_one(Order, Order.number == number)  # read
"""


class Customer(odmantic.Model):
    name: str = odmantic.Field(unique=True)


class Order(odmantic.Model):
    number: int
    items: list[str] = []
    customer: Customer = odmantic.Reference()


def test_documents_with_the_synchronous_engine(uri, database):
    with pymongo.MongoClient(uri) as client:
        engine = odmantic.SyncEngine(client=client, database=database)
        engine.configure_database([Customer, Order])
        ada = Customer(name="ada")
        engine.save_all([Order(number=number, customer=ada) for number in (7, 8, 9)])
        order = engine.find_one(Order, Order.number == 8)
        assert order.customer.name == "ada"
        order.items.append("tea")
        engine.save(order)
        found = engine.find(Order, Order.number > 7, sort=Order.number.desc())
        assert [(order.number, order.items) for order in found] == [(9, []), (8, ["tea"])]
        engine.delete(order)
        assert engine.remove(Order, Order.number == 9) == 1
        assert engine.count(Order) == 1
        with pytest.raises(odmantic.exceptions.DuplicateKeyError):
            engine.save(Customer(name="ada"))


def test_documents_with_the_asynchronous_engine(uri, database):
    async def main():
        client = AsyncIOMotorClient(uri)
        try:
            engine = odmantic.AIOEngine(client=client, database=database)
            ada = Customer(name="ada")
            await engine.save_all([Order(number=number, customer=ada) for number in (7, 8)])
            assert (await engine.find_one(Order, Order.number == 8)).customer.name == "ada"
            assert sorted([order.number async for order in engine.find(Order)]) == [7, 8]
            async with engine.transaction() as transaction:
                await transaction.save(Order(number=9, customer=ada))
                await transaction.commit()
            assert await engine.count(Order) == 3
        finally:
            client.close()

    asyncio.run(main())


@pytest.mark.parametrize("app", [SYNC_APP, ASYNC_APP], ids=["sync", "async"])
def test_a_stale_read_is_reported_with_the_applications_lines(application, app):
    [found] = application.reports(app)
    assert found.read.startswith("shop.order.aggregate(")
    assert found.read_at == f"{application.site('read')} in find_order"
    assert found.missed[0].startswith("update_one({")
    assert found.missed_at == (f"{application.site('write')} in place_order",)
