"""`--replica-lag-intercept`: clients come out wrapped, wherever they are opened."""

import pytest

INTERCEPT = ("--replica-lag=200ms", "--replica-lag-intercept")

MOCKS = """
import mongomock
import pytest
from pymongo import ReadPreference

class OwnClient(mongomock.MongoClient):
    own = True

opened_at_import = mongomock.MongoClient("mongodb://db/?readPreference=secondary")

@pytest.mark.replica_lag
def test_opened_at_import(replica_lag):
    opened_at_import.shop.orders.insert_one({"_id": 7})
    assert opened_at_import.shop.orders.find_one({"_id": 7}) is None
    [stale] = replica_lag.stale_reads
    assert stale.result == "None"

@pytest.mark.replica_lag
def test_subclass(replica_lag):
    client = OwnClient(read_preference=ReadPreference.SECONDARY)
    assert isinstance(client, OwnClient) and client.own
    client.shop.orders.insert_one({"_id": 7})
    assert client.shop.orders.find_one() is None

@pytest.mark.replica_lag
def test_no_read_preference(replica_lag):
    client = mongomock.MongoClient()
    client.shop.orders.insert_one({"_id": 7})
    print("found:", client.shop.orders.find_one())
"""

DRIVERS = """
import pymongo
import pytest

client = pymongo.MongoClient("mongodb://nobody.example:27017/shop?readPreference=secondary")
own = pymongo.MongoClient

class OwnClient(pymongo.MongoClient):
    pass

@pytest.mark.replica_lag
def test_by_connection_string(replica_lag):
    db = client.get_default_database()
    db.orders.insert_one({"_id": 7})
    assert db.orders.find_one({"_id": 7}) is None
    assert len(replica_lag.stale_reads) == 1

@pytest.mark.replica_lag
def test_subclass_with_arguments(replica_lag):
    with OwnClient("nobody.example", 1234, readPreference="secondary", appname="shop") as opened:
        assert type(opened) is OwnClient
        assert opened.options.pool_options.appname == "shop"
        opened.shop.orders.insert_one({"_id": 8})
        assert opened.shop.orders.find_one({"_id": 8}) is None

@pytest.mark.replica_lag
def test_connected_to_the_endpoints(replica_lag):
    with pymongo.MongoClient(replica_lag.uri) as opened:
        assert opened.options.replica_set_name == "replicalag"
        opened.shop.orders.insert_one({"_id": 9})
"""


def test_mocks_come_out_wrapped(project):
    project.file("test_it", MOCKS)
    result = project.run("--replica-lag=200ms", "--replica-lag-intercept")
    result.assert_outcomes(passed=3)


def test_the_ini_key_does_the_same(project):
    project.file("test_it", MOCKS)
    project.ini("replica_lag_intercept = true")
    project.run("--replica-lag=200ms").assert_outcomes(passed=3)


def test_clients_without_a_read_preference_read_as_the_settings_say(project):
    project.file("test_it", MOCKS)
    options = ("--replica-lag=200ms", "--replica-lag-intercept", "-s")
    secondary = "--replica-lag-read-preference=secondary"
    project.run(*options).stdout.fnmatch_lines(["*found: {'_id': 7}*"])
    project.run(*options, secondary).stdout.fnmatch_lines(["*found: None*"])


@pytest.mark.parametrize("off", [(), ("--replica-lag=off", "--replica-lag-intercept")])
def test_without_it_clients_stay_as_they_are(project, off):
    project.file(
        "test_it",
        "import mongomock\n\ndef test_it():\n"
        "    assert type(mongomock.MongoClient()) is mongomock.MongoClient\n",
    )
    project.run(*off).assert_outcomes(passed=1)


def test_constructors_are_put_back_after_the_run(project):
    import mongomock
    import pymongo

    before = mongomock.MongoClient.__init__, pymongo.MongoClient.__init__
    project.file("test_it", MOCKS)
    project.run("--replica-lag=200ms", "--replica-lag-intercept")
    assert (mongomock.MongoClient.__init__, pymongo.MongoClient.__init__) == before


def test_clients_opened_in_a_conftest_file_come_out_wrapped(project):
    project.file("conftest", "import mongomock\n\nclient = mongomock.MongoClient()\n")
    project.file(
        "test_it",
        "from conftest import client\n\ndef test_it():\n"
        "    client.a.b.insert_one({})\n    assert client.a.b.find_one() is None\n",
    )
    result = project.run(
        "--replica-lag=200ms",
        "--replica-lag-all",
        "--replica-lag-intercept",
        "--replica-lag-read-preference=secondary",
    )
    result.assert_outcomes(passed=1)


def test_drivers_go_to_the_engine_that_the_run_names(project):
    project.file("test_it", DRIVERS)
    result = project.run_apart(
        "--replica-lag=200ms", "--replica-lag-intercept", "--replica-lag-engine=memory"
    )
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_a_server_elsewhere_is_left_alone_and_said_so(project, workers):
    project.file(
        "test_it",
        "import pymongo\n\nclient = pymongo.MongoClient('db.example.com', connect=False)\n\n"
        "def test_it():\n    assert client.HOST\n",
    )
    plugins = ("xdist",) if workers else ()
    options = ("--replica-lag=200ms", "--replica-lag-all", "--replica-lag-intercept", *workers)
    result = project.run_apart(*options, plugins=plugins)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["Not intercepted: the client opened at test_it.py:3, for db.example.com is*"]
    )


PATCHED = """
import mongomock
import pymongo
import pytest

@mongomock.patch(servers="mongodb://a:1")
def test_clients_of_one_server_have_the_same_data():
    pymongo.MongoClient("mongodb://a:1").shop.orders.insert_one({"_id": 1})
    assert pymongo.MongoClient("mongodb://a:1").shop.orders.find_one() == {"_id": 1}

@mongomock.patch(servers="mongodb://a:1")
@pytest.mark.replica_lag
def test_they_lag():
    pymongo.MongoClient("mongodb://a:1").shop.orders.insert_one({"_id": 1})
    other = pymongo.MongoClient("mongodb://a:1/?readPreference=secondary")
    assert other.shop.orders.find_one() is None
"""


def test_mongomocks_own_patch_still_gives_clients_the_same_data(project):
    project.file("test_it", PATCHED)
    project.run(*INTERCEPT).assert_outcomes(passed=2)


WRONG = """
import pymongo
import pytest
from pymongo.errors import ConfigurationError, InvalidURI

@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"host": "mongodb://"}, InvalidURI),
        ({"host": "http://db"}, InvalidURI),
        ({"port": "x"}, TypeError),
        ({"host": "mongodb://a,b/?directConnection=true"}, ConfigurationError),
    ],
)
def test_it(arguments, error):
    with pytest.raises(error) as told:
        pymongo.MongoClient(**arguments)
    assert type(told.value) is error
"""


@pytest.mark.parametrize("engine", [[], ["--replica-lag-engine=memory"]])
def test_what_pymongo_refuses_it_refuses_itself(project, engine):
    project.file("test_it", WRONG)
    project.run_apart(*INTERCEPT, *engine).assert_outcomes(passed=4)
