"""MongoEngine."""

import pytest

mongoengine = pytest.importorskip("mongoengine")

APP = """
import mongoengine


class Order(mongoengine.Document):
    number = mongoengine.IntField(unique=True)
    status = mongoengine.StringField()


def finds_its_order(uri, number):
    mongoengine.connect("shop", host=uri, uuidRepresentation="standard")
    try:
        place_order(number)
        return find_order(number) is not None
    finally:
        mongoengine.disconnect()


def place_order(number):
    Order(number=number, status="placed").save()  # write


def find_order(number):
    return Order.objects(number=number).first()  # read
"""


class Customer(mongoengine.Document):
    name = mongoengine.StringField(unique=True)


class Order(mongoengine.Document):
    number = mongoengine.IntField(primary_key=True)
    customer = mongoengine.ReferenceField(Customer)
    items = mongoengine.ListField(mongoengine.StringField())
    meta = {"indexes": ["customer"]}


@pytest.fixture(autouse=True)
def _connected(uri, database):
    mongoengine.connect(database, host=uri, uuidRepresentation="standard")
    yield
    for document in (Customer, Order):
        document._collection = None
    mongoengine.disconnect()


def test_documents():
    ada = Customer(name="ada").save()
    Order(number=7, customer=ada, items=["tea"]).save()
    Order.objects.insert([Order(number=8), Order(number=9, items=["tea", "cup"])])
    order = Order.objects(items="cup").get()
    order.items.append("pot")
    order.save()
    assert Order.objects(number=9).scalar("items").first() == ["tea", "cup", "pot"]
    assert Order.objects(number=7).first().customer.name == "ada"
    assert Order.objects(items__size=0).update(set__items=["tea"]) == 1
    assert Order.objects.count() == 3
    assert sorted(Order.objects.distinct("items")) == ["cup", "pot", "tea"]
    assert list(Order.objects.aggregate([{"$count": "n"}])) == [{"n": 3}]
    assert Order.objects(number__gt=7).delete() == 2
    assert [order.number for order in Order.objects.order_by("-number")] == [7]
    assert Order.objects(number=7).modify(push__items="cup", new=True).items == ["tea", "cup"]


def test_unique_fields_and_missing_documents():
    Customer(name="ada").save()
    with pytest.raises(mongoengine.NotUniqueError):
        Customer(name="ada").save()
    with pytest.raises(Customer.DoesNotExist):
        Customer.objects.get(name="bob")


def test_indexes():
    Order.ensure_indexes()
    assert sorted(Order._get_collection().index_information()) == ["_id_", "customer_1"]


def test_a_stale_read_is_reported_with_the_applications_lines(application):
    [found] = application.reports(APP)
    assert found.read.startswith('shop.order.find_one({"number": 7}')
    assert found.read_at == f"{application.site('read')} in find_order"
    assert found.missed[0].startswith('insert_one({"_id": ObjectId(#1), "number": 7')
    assert found.missed_at == (f"{application.site('write')} in place_order",)
