"""Beanie, on PyMongo's asynchronous client."""

import asyncio

import pytest

beanie = pytest.importorskip("beanie")

from pymongo import AsyncMongoClient
from pymongo.errors import DuplicateKeyError

APP = """
import asyncio

from beanie import Document, init_beanie
from pymongo import AsyncMongoClient


class Order(Document):
    number: int
    status: str


def finds_its_order(uri, number):
    return asyncio.run(place_and_find(uri, number))


async def place_and_find(uri, number):
    async with AsyncMongoClient(uri) as client:
        await init_beanie(database=client.shop, document_models=[Order])
        await place_order(number)
        return await find_order(number) is not None


async def place_order(number):
    await Order(number=number, status="placed").insert()  # write


async def find_order(number):
    return await READ  # read
"""

READS = {
    "Order.find_one(Order.number == number)": "find_one",
    "Order.find(Order.number == number).first_or_none()": "find",
    "Order.find(Order.number == number).to_list() or None": "find",
}


class Customer(beanie.Document):
    name: beanie.Indexed(str, unique=True)


class Order(beanie.Document):
    number: int
    items: list[str] = []
    customer: beanie.Link[Customer] | None = None


def run(uri, database, story):
    async def main():
        async with AsyncMongoClient(uri) as client:
            await beanie.init_beanie(database=client[database], document_models=[Customer, Order])
            await story()

    asyncio.run(main())


def test_documents(uri, database):
    async def story():
        order = await Order(number=7, items=["tea"]).insert()
        await Order.insert_many([Order(number=8), Order(number=9, items=["tea", "cup"])])
        await order.set({Order.items: ["pot"]})
        assert (await Order.get(order.id)).items == ["pot"]
        order.items.append("cup")
        await order.save()
        assert await Order.find(Order.items == "cup").count() == 2
        numbers = [order.number async for order in Order.find(Order.number > 7).sort("-number")]
        assert numbers == [9, 8]
        assert await Order.find_all().sum(Order.number) == 24
        await Order.find(Order.number == 9).update({"$set": {"items": []}})
        await Order.find_one(Order.number == 8).delete()
        assert sorted(await Order.distinct("number")) == [7, 9]
        await Order.find_one(Order.number == 5).upsert(
            {"$set": {"items": ["tea"]}}, on_insert=Order(number=5)
        )
        assert await Order.count() == 3

    run(uri, database, story)


def test_links(uri, database):
    async def story():
        ada = await Customer(name="ada").insert()
        order = await Order(number=7, customer=ada).insert()
        loaded = await Order.get(order.id)
        await loaded.fetch_all_links()
        assert loaded.customer.name == "ada"
        linked = await Order.find(Order.customer.id == ada.id).to_list()
        assert [order.number for order in linked] == [7]

    run(uri, database, story)


def test_unique_indexes(uri, database):
    async def story():
        await Customer(name="ada").insert()
        with pytest.raises(DuplicateKeyError):
            await Customer(name="ada").insert()

    run(uri, database, story)


@pytest.mark.parametrize("read", READS)
def test_a_stale_read_is_reported_with_the_applications_lines(application, read):
    [found] = application.reports(APP.replace("READ", read))
    assert found.read.startswith(f"shop.Order.{READS[read]}(")
    assert found.read_at == f"{application.site('read')} in find_order"
    assert found.missed[0].startswith("insert_one({")
    assert found.missed_at == (f"{application.site('write')} in place_order",)
