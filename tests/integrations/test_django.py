"""Django with MongoDB's own backend and pytest-django, which configures Django once a process."""

import pytest

pytest.importorskip("django_mongodb_backend")
pytest.importorskip("pytest_django")

SETTINGS = """
INSTALLED_APPS = ["shop"]
DATABASES = {
    "default": {
        "ENGINE": "django_mongodb_backend",
        "HOST": "mongodb://db.internal/",
        "NAME": "shop",
        "OPTIONS": {"readPreference": "secondaryPreferred"},
    }
}
DATABASE_ROUTERS = ["django_mongodb_backend.routers.MongoRouter"]
DEFAULT_AUTO_FIELD = "django_mongodb_backend.fields.ObjectIdAutoField"
USE_TZ = True
"""

CONFTEST = """
import pytest


@pytest.fixture(scope="session")
def django_db_modify_db_settings(replica_lag_uri):
    from django.conf import settings

    settings.DATABASES["default"]["HOST"] = replica_lag_uri
"""

MODELS = """
from django.db import models
from django_mongodb_backend.fields import ArrayField


class Customer(models.Model):
    name = models.CharField(max_length=100, unique=True)


class Order(models.Model):
    number = models.IntegerField()
    placed = models.DateTimeField(auto_now_add=True)
    things = ArrayField(models.CharField(max_length=100), default=list)
    customer = models.ForeignKey(Customer, models.CASCADE, null=True)
"""

APP = """
from shop.models import Order


def place_order(number):
    Order.objects.create(number=number)  # write


def find_order(number):
    return READ  # read
"""

TEST_APP = """
import pytest
from shop.app import find_order, place_order

pytestmark = pytest.mark.django_db


def test_without_lag():
    place_order(1)
    assert find_order(1)


@pytest.mark.replica_lag
def test_with_lag():
    place_order(7)
    assert find_order(7)
"""

TEST_EVERYDAY = """
import pytest
from django.db import DatabaseError, IntegrityError
from django.db.models import Count, F, Q, Sum
from django_mongodb_backend import transaction
from shop.models import Customer, Order

pytestmark = pytest.mark.django_db


def numbers(orders):
    return [order.number for order in orders]


def test_documents():
    order = Order.objects.create(number=7, things=["tea"])
    Order.objects.bulk_create([Order(number=8), Order(number=9, things=["tea", "cup"])])
    order.things.append("pot")
    order.save()
    assert Order.objects.get(pk=order.pk).things == ["tea", "pot"]
    milliseconds = order.placed.microsecond // 1000
    placed = order.placed.replace(microsecond=milliseconds * 1000)
    assert Order.objects.get(pk=order.pk).placed == placed
    assert numbers(Order.objects.filter(things__contains=["tea"]).order_by("-number")) == [9, 7]
    assert numbers(Order.objects.exclude(Q(number=8) | Q(number=9))) == [7]
    assert Order.objects.filter(number__gt=7).update(number=F("number") + 10) == 2
    assert Order.objects.aggregate(total=Sum("number")) == {"total": 44}
    assert Order.objects.filter(number=19).delete()[0] == 1
    assert Order.objects.count() == 2
    assert Order.objects.filter(number=7).exists()
    assert sorted(Order.objects.values_list("number", flat=True)[:1]) == [7]


def test_relations(pytestconfig):
    ada = Customer.objects.create(name="ada")
    Order.objects.create(number=7, customer=ada)
    assert Order.objects.select_related("customer").get(number=7).customer.name == "ada"
    assert numbers(Order.objects.filter(customer__name="ada")) == [7]
    [customer] = Customer.objects.annotate(orders=Count("order__number"))
    assert customer.orders == 1
    if pytestconfig.option.replica_lag_mongod:
        [customer] = Customer.objects.annotate(orders=Count("order"))
        assert customer.orders == 1
        return
    with pytest.raises(DatabaseError) as caught:
        list(Customer.objects.annotate(orders=Count("order")))
    assert "ObjectId" in str(caught.value.__cause__)


def test_unique_fields():
    Customer.objects.create(name="ada")
    with pytest.raises(IntegrityError):
        Customer.objects.create(name="ada")


def test_transactions():
    with transaction.atomic():
        Customer.objects.create(name="ada")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Customer.objects.create(name="bob")
        raise ZeroDivisionError
    assert list(Customer.objects.values_list("name", flat=True)) == ["ada"]
"""

READS = {
    "Order.objects.filter(number=number).first()": "aggregate",
    "Order.objects.filter(number=number).exists()": "aggregate",
}


@pytest.fixture
def project(application):
    application.file("shop/__init__.py", "")
    application.file("shop/models.py", MODELS)
    application.file("settings.py", SETTINGS)
    application.file("conftest.py", CONFTEST)
    application.file("pytest.ini", "[pytest]\nDJANGO_SETTINGS_MODULE = settings\npythonpath = .\n")
    return application


def test_everyday_use(project):
    project.file("test_everyday.py", TEST_EVERYDAY)
    settings = project.path / "settings.py"
    text = settings.read_text().replace('"OPTIONS": {"readPreference": "secondaryPreferred"},', "")
    settings.write_text(text)
    project.run("-p", "pytest_django.plugin").assert_outcomes(passed=4)


@pytest.mark.parametrize("read", READS)
def test_a_stale_read_is_reported_with_the_applications_lines(project, read):
    project.file("shop/app.py", APP.replace("READ", read))
    project.file("test_app.py", TEST_APP)
    [found] = project.stale_reads("-p", "pytest_django.plugin")
    assert found.read.startswith(f"shop_order.{READS[read]}(") or "shop_order" in found.read
    assert found.read_at == f"{project.site('read', 'shop/app.py')} in find_order"
    assert found.missed[0].startswith("insert_one({")
    assert found.missed_at == (f"{project.site('write', 'shop/app.py')} in place_order",)
