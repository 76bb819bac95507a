"""The `replica_lag` fixture."""

import pytest

BODY = """
import datetime
import pytest
from pytest_replicalag import Duration, StaleRead

LAG = datetime.timedelta(milliseconds=200)

@pytest.mark.replica_lag("200ms")
def test_it(db, replica_lag):
"""


def run(project, body, *arguments):
    lines = "\n".join(f"    {line}" for line in body.strip("\n").splitlines())
    project.file("test_it", BODY.strip("\n") + "\n" + lines + "\n")
    project.run(*arguments).assert_outcomes(passed=1)


def test_it_tells_the_lag_and_the_time(project):
    run(
        project,
        """
assert replica_lag.enabled
assert replica_lag.lag == LAG
assert isinstance(replica_lag.lag, Duration)
assert replica_lag.now() == datetime.timedelta()
db.orders.insert_one({"_id": 7})
assert replica_lag.now() == datetime.timedelta(milliseconds=1)
replica_lag.advance("50ms")
replica_lag.advance(datetime.timedelta(seconds=1))
replica_lag.advance(0)
assert str(replica_lag.now()) == "1.051s"
assert replica_lag.now().text == "1.051 s"
""",
    )


def test_it_tells_of_each_member(project):
    run(
        project,
        """
primary, one, two = replica_lag.members
assert replica_lag.primary.name == primary.name == "primary"
assert [member.name for member in replica_lag.secondaries] == ["secondary-1", "secondary-2"]
start = two.optime
db.orders.insert_one({"_id": 7})
assert primary.optime == one.optime
assert primary.optime > two.optime == start
assert [str(member.lag) for member in replica_lag.members] == ["0ms", "0ms", "200ms"]
assert [str(member.behind) for member in replica_lag.members] == ["0ms", "0ms", "200ms"]
assert [member.paused for member in replica_lag.members] == [False, False, False]
assert repr(two) == f"<secondary-2: lag 200ms, 200ms behind, optime {start}>"
replica_lag.advance("1s")
assert two.optime == primary.optime
assert str(two.behind) == "0ms"
""",
    )


def test_a_paused_member_stays_where_it_is(project):
    run(
        project,
        """
replica_lag.pause("secondary-2")
two = replica_lag.secondaries[1]
assert two.paused
assert not replica_lag.secondaries[0].paused
db.orders.insert_one({"_id": 7})
replica_lag.advance("10s")
assert db.orders.find_one() is None
assert str(two.behind) == "10.001s"
assert repr(two) == f"<secondary-2: paused, lag 200ms, 10.001s behind, optime {two.optime}>"
replica_lag.catch_up("secondary-2")
assert db.orders.find_one() == {"_id": 7}
assert two.paused
db.orders.insert_one({"_id": 8})
replica_lag.advance("10s")
assert db.orders.count_documents({}) == 1
replica_lag.resume("secondary-2")
assert db.orders.count_documents({}) == 2
""",
    )


def test_without_a_name_all_secondaries_are_meant(project):
    run(
        project,
        """
def names(paused):
    return [member.name for member in replica_lag.members if member.paused is paused]

db.orders.with_options().insert_one({"_id": 7})
replica_lag.pause()
assert names(True) == ["secondary-1", "secondary-2"]
assert db.orders.find_one() is None
replica_lag.catch_up()
assert db.orders.find_one() == {"_id": 7}
replica_lag.resume()
assert names(True) == []
replica_lag.set_lag("1s")
assert [str(member.lag) for member in replica_lag.members] == ["0ms", "1s", "1s"]
""",
    )


def test_members_can_be_given_for_their_names(project):
    run(
        project,
        """
one, two = replica_lag.secondaries
replica_lag.pause(one)
assert (one.paused, two.paused) == (True, False)
replica_lag.resume(one)
assert not one.paused
replica_lag.set_lag("2s", two)
replica_lag.set_lag(LAG * 2, one)
assert (str(one.lag), str(two.lag)) == ("400ms", "2s")
assert str(replica_lag.lag) == "200ms"
replica_lag.catch_up(two)
""",
    )


def test_a_lag_can_be_changed_to_any_other(project):
    run(
        project,
        """
two = replica_lag.secondaries[1]
for lag, shown in [("inf", "inf"), ("50ms..400ms", "400ms"), ("0", "0ms"), ("1s", "1s")]:
    replica_lag.set_lag(lag, "secondary-2")
    assert str(two.lag) == shown
replica_lag.set_lag("inf", "secondary-2")
db.orders.insert_one({"_id": 7})
assert str(two.behind) == "inf"
assert two.behind.text == "for ever"
replica_lag.set_lag("0")
assert db.orders.find_one() == {"_id": 7}
""",
    )


def test_it_lists_the_stale_reads_so_far(project):
    run(
        project,
        """
assert replica_lag.stale_reads == []
db.orders.insert_one({"_id": 7})
assert db.orders.find_one({"_id": 7}) is None
[read] = replica_lag.stale_reads
assert isinstance(read, StaleRead)
assert str(read) == (
    'shop.orders.find_one({"_id": 7}) returned None from secondary-2, which had missed '
    'insert_one({"_id": 7}); the primary has {"_id": 7}'
)
assert read.test == "test_it.py::test_it"
assert read.call_site.path == __file__
assert (read.call_site.line, read.call_site.function) == (11, "test_it")
assert (read.operation, read.namespace) == ("find_one", "shop.orders")
assert (read.member, str(read.behind)) == ("secondary-2", "200ms")
assert (read.read_preference, read.read_concern) == ("secondaryPreferred", None)
assert (read.result, read.fresh_result) == ("None", '{"_id": 7}')
[missed] = read.missed
assert (missed.operation, missed.namespace) == ("insert_one", "shop.orders")
assert (missed.call_site.line, str(missed.age)) == (10, "1ms")
assert read.guarantees == ("read your writes",)
replica_lag.stale_reads.clear()
assert len(replica_lag.stale_reads) == 1
""",
    )


def test_an_open_client_can_be_wrapped_through_it(project):
    run(
        project,
        """
import mongomock
client = mongomock.MongoClient(read_preference=db.read_preference)
client.shop.orders.insert_one({"_id": 1})
wrapped = replica_lag.wrap(client)
assert isinstance(wrapped, mongomock.MongoClient)
wrapped.shop.orders.insert_one({"_id": 2})
assert list(wrapped.shop.orders.find()) == [{"_id": 1}]
""",
    )


OFF = """
import pytest

MARKER
def test_it(db, replica_lag):
    assert not replica_lag.enabled
    assert repr(replica_lag) == "<replica_lag: off>"
    assert str(replica_lag.lag) == "0ms"
    db.orders.insert_one({"_id": 7})
    replica_lag.advance("50ms")
    assert str(replica_lag.now()) == "50ms"
    replica_lag.set_lag("inf")
    replica_lag.pause("secondary-4")
    assert db.orders.find_one() == {"_id": 7}
    replica_lag.catch_up()
    replica_lag.resume()
    assert [member.name for member in replica_lag.members] == [
        "primary", "secondary-1", "secondary-2", "secondary-3", "secondary-4"
    ]
    assert str(replica_lag.primary.behind) == "0ms"
    assert replica_lag.stale_reads == []
    assert replica_lag.wrap(db.client) is db.client
"""


@pytest.mark.parametrize(
    ("marker", "arguments"),
    [
        ("", ["--replica-lag-secondaries=4"]),
        ("", ["--replica-lag-secondaries=4", "--replica-lag=1s"]),
        ("", ["--replica-lag-secondaries=4", "--replica-lag=1s,2s,3s"]),
        ("@pytest.mark.replica_lag(secondaries=4)", []),
        ('@pytest.mark.replica_lag("off", secondaries=4)', ["--replica-lag=1s"]),
        ('@pytest.mark.replica_lag("1s", secondaries=4)', ["--replica-lag=off"]),
    ],
)
def test_with_lag_off_it_is_harmless(project, marker, arguments):
    project.file("test_it", OFF.replace("MARKER", marker))
    project.run(*arguments).assert_outcomes(passed=1)


def test_what_another_fixture_does_with_it_holds_in_the_test(project):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.fixture
        def broken_secondary(replica_lag):
            replica_lag.pause("secondary-1")
            yield replica_lag
            assert len(replica_lag.stale_reads) == 1

        @pytest.mark.replica_lag("0")
        def test_it(broken_secondary, replica_lag, db):
            db.orders.insert_one({"_id": 7})
            assert db.orders.find_one() is None
            assert replica_lag.secondaries[0].paused
        """,
    )
    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize("scope", ["function", "class", "module", "package", "session"])
def test_the_running_test_governs_a_client_of_any_scope(project, scope):
    project.file(
        "test_it",
        f"""
        import mongomock, pytest
        from pymongo import ReadPreference
        from pytest_replicalag import wrap

        @pytest.fixture(scope="{scope}")
        def orders():
            client = mongomock.MongoClient(read_preference=ReadPreference.SECONDARY)
            return wrap(client).shop.orders

        @pytest.mark.parametrize("number", [1, 2])
        class TestIt:
            @pytest.mark.replica_lag("1s")
            def test_lagging(self, orders, number, replica_lag):
                before = orders.count_documents({{}})
                orders.insert_one({{}})
                assert orders.count_documents({{}}) == before
                assert len(replica_lag.stale_reads) == 1

            def test_not_lagging(self, orders, number):
                before = orders.count_documents({{}})
                orders.insert_one({{}})
                assert orders.count_documents({{}}) == before + 1
        """,
    )
    project.run().assert_outcomes(passed=4)


def test_it_has_help(project):
    result = project.run("--fixtures")
    start = next(n for n, line in enumerate(result.outlines) if line.startswith("replica_lag "))
    assert result.outlines[start + 1] == (
        "    The simulated replica set of the running test: its time, its members, its stale reads."
    )
