"""Elections: `step_down`, `crash_primary`, `restart`, and the writes that they cost."""

import pytest

FAILING = """
    import pytest
    from pymongo import WriteConcern

    @pytest.mark.replica_lag("1s,1s")
    def test_badge(db, replica_lag):
        badges = db.get_collection("badges", write_concern=WriteConcern(w=1))
        badges.insert_one({"_id": 1})
        replica_lag.crash_primary()
        assert db.badges.count_documents({})
"""

PASSING = FAILING.replace("assert db", "assert not db")


@pytest.fixture
def from_primary(project):
    """A project whose client reads from the primary."""
    project.pytester.makeini("[pytest]\nreplica_lag_fixtures = db_client\n")
    project.pytester.makeconftest(
        """
        import mongomock
        import pytest

        @pytest.fixture
        def db_client():
            return mongomock.MongoClient()

        @pytest.fixture
        def db(db_client):
            return db_client.shop
        """
    )
    return project


def section(result):
    lines = result.outlines
    start = next(i for i, line in enumerate(lines) if line.startswith("lost write"))
    end = next(i for i in range(start, len(lines)) if lines[i].startswith("replay"))
    return [line for line in lines[start:end] if line and not line.startswith("verdict")]


def test_a_lost_write_is_told_with_both_call_sites_and_the_fix(from_primary):
    from_primary.file("test_it", FAILING)
    result = from_primary.run("--replica-lag-no-verdict")
    result.assert_outcomes(failed=1)
    assert section(result) == [
        'lost write  shop.badges.insert_one({"_id": 1})        test_it.py:7 in test_badge',
        "            acknowledged with w: 1 by primary, rolled back",
        "when        primary crashed by crash_primary(), 0 ms later",
        "                                                      test_it.py:8 in test_badge",
        "elected     secondary-1, which did not have it",
        "fix         write with w: majority, which is the default since MongoDB 5.0: what",
        "            it acknowledges outlives any election",
    ]


def test_the_summary_has_a_line_for_it(from_primary, summary):
    from_primary.file("test_it", FAILING)
    lines = summary(from_primary.run("--replica-lag-no-verdict"))
    assert lines == [
        "test_it.py:7: shop.badges.insert_one acknowledged with w: 1, rolled back",
        "    (once: test_it.py::test_badge)",
        "Acknowledged writes were rolled back in 1 of 1 test with lag.",
    ]


def test_on_stale_fail_fails_a_test_that_lost_a_write(from_primary):
    from_primary.file("test_it", PASSING)
    from_primary.run().assert_outcomes(passed=1)
    result = from_primary.run("--replica-lag-on-stale=fail", "--replica-lag-no-verdict")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["the test passed, but lost an acknowledged write (see section *; on_stale=fail)"]
    )


def test_a_report_of_it_comes_from_a_worker_too(from_primary, summary):
    from_primary.file("test_it", FAILING)
    result = from_primary.run_apart("-p", "xdist", "-n", "1", "--replica-lag-no-verdict")
    assert "Acknowledged writes were rolled back in 1 of 1 test with lag." in summary(result)


def test_exploring_finds_the_operation_before_which_a_crash_loses_it(from_primary):
    from_primary.file(
        "test_it",
        """
        import pytest
        from pymongo import WriteConcern

        @pytest.mark.replica_lag
        def test_badge(db):
            badges = db.get_collection("badges", write_concern=WriteConcern(w=1))
            badges.insert_one({"_id": 1})
            assert badges.count_documents({})
        """,
    )
    from_primary.run("--replica-lag=inf").assert_outcomes(passed=1)
    from_primary.run("--replica-lag-explore=100").assert_outcomes(passed=1)
    result = from_primary.run("--replica-lag-explore=100", "--replica-lag-elections")
    result.assert_outcomes(failed=1)
    lines = result.outlines
    start = next(i for i, line in enumerate(lines) if line.startswith("fails when"))
    assert lines[start : start + 4] == [
        "fails when  primary crashes before count_documents    test_it.py:8 in test_badge",
        "and         secondary-1 is elected without",
        '              shop.badges.insert_one({"_id": 1})      test_it.py:7 in test_badge',
        "              acknowledged with w: 1, rolled back",
    ]
    schedule = lines[start + 5].rpartition(" ")[2]
    assert schedule.startswith("--replica-lag-schedule=")
    again = from_primary.run_apart("--replica-lag-elections", schedule)
    again.assert_outcomes(failed=1)
    assert (
        lines[start : start + 4]
        == again.outlines[(found := again.outlines.index(lines[start])) : found + 4]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("w", "failed"), [("1", 1), ("'majority'", 0)])
def test_exploring_does_so_on_the_wire(from_primary, summary, w, failed):
    from_primary.file(
        "test_it",
        f"""
        import pymongo
        import pytest

        @pytest.mark.replica_lag(elections=True)
        def test_badge(replica_lag_uri):
            with pymongo.MongoClient(replica_lag_uri) as client:
                client.shop.badges.with_options(
                    write_concern=pymongo.WriteConcern(w={w})
                ).insert_one({{"_id": 1}})
                assert client.shop.badges.find_one({{"_id": 1}})
        """,
    )
    result = from_primary.run_apart("--replica-lag-explore=50")
    result.assert_outcomes(failed=failed, passed=1 - failed)
    told = " ".join(" ".join(summary(result)).split())
    expected = "acknowledged with w: 1, rolled back" if failed else "all 3 schedules pass"
    assert expected in told


def test_with_majority_every_schedule_passes(from_primary, summary):
    from_primary.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag(elections=True)
        def test_badge(db):
            db.badges.insert_one({"_id": 1})
            assert db.badges.count_documents({}) == 1
        """,
    )
    result = from_primary.run("--replica-lag-explore=100")
    result.assert_outcomes(passed=1)
    assert " ".join(" ".join(summary(result)).split()) == (
        "test_it.py::test_badge: all 3 schedules pass: no replication schedule of this kind "
        "breaks this test"
    )


CLIENTS = """
    import pymongo
    import pytest
    from pymongo.errors import AutoReconnect, NotPrimaryError
    from pytest_replicalag import MongoClient

    @pytest.fixture(params=["in process", "on the wire"])
    def opened(request):
        clients = []

        def open(**options):
            if request.param == "in process":
                client = MongoClient(**options)
            else:
                uri = request.getfixturevalue("replica_lag_uri")
                client = pymongo.MongoClient(uri, **options)
            clients.append(client)
            client.shop.orders.insert_one({"n": 0})
            return client.shop.orders

        yield open
        for client in clients:
            client.drop_database("shop")
            client.close()
"""


@pytest.mark.slow
def test_a_driver_retries_what_it_may(from_primary):
    from_primary.file(
        "test_it",
        CLIENTS
        + """
    @pytest.mark.replica_lag("0")
    @pytest.mark.parametrize("end", ["step_down", "crash_primary"])
    def test_retried(opened, replica_lag, end):
        orders = opened()
        getattr(replica_lag, end)()
        orders.insert_one({"n": 1})
        orders.update_one({"n": 1}, {"$set": {"m": 1}})
        assert orders.count_documents({}) == 2

    @pytest.mark.replica_lag("0")
    @pytest.mark.parametrize("operation", [
        lambda orders: orders.update_many({}, {"$set": {"m": 1}}),
        lambda orders: orders.bulk_write([pymongo.DeleteMany({"m": 1})]),
        lambda orders: orders.with_options(
            write_concern=pymongo.WriteConcern(w=1)).delete_many({"m": 1}),
    ])
    def test_not_retried(opened, replica_lag, operation):
        orders = opened()
        replica_lag.step_down()
        with pytest.raises(NotPrimaryError) as told:
            operation(orders)
        assert told.value.details["code"] == 10107
        operation(orders)
        replica_lag.crash_primary()
        with pytest.raises(AutoReconnect, match="connection closed"):
            operation(orders)
        operation(orders)

    @pytest.mark.replica_lag("0")
    def test_told_not_to_retry(opened, replica_lag):
        orders = opened(retryWrites=False, retryReads=False)
        replica_lag.step_down()
        with pytest.raises(NotPrimaryError):
            orders.insert_one({"n": 1})
        orders.insert_one({"n": 1})
        replica_lag.crash_primary()
        with pytest.raises(AutoReconnect):
            orders.find_one()
        assert orders.find_one()["n"] == 0
    """,
    )
    from_primary.run_apart().assert_outcomes(passed=12)


@pytest.mark.slow
def test_a_client_that_stays_connected_sees_no_other_primary_in_the_next_test(from_primary):
    from_primary.file(
        "test_it",
        """
        import pymongo
        import pytest

        @pytest.fixture(scope="module")
        def client(replica_lag_uri):
            with pymongo.MongoClient(replica_lag_uri) as client:
                yield client

        @pytest.mark.replica_lag("0")
        @pytest.mark.parametrize("number", range(3))
        def test_it(client, replica_lag, number):
            primary = client.primary
            client.shop.drop_collection("orders")  # is not retried
            assert client.primary == primary
            client.shop.orders.insert_one({"n": number})
            assert client.admin.command("hello")["me"] == "%s:%s" % client.primary
            replica_lag.crash_primary()
            client.shop.orders.insert_one({"n": 10})
            assert client.primary != primary
            assert client.shop.orders.count_documents({}) == 2
            status = client.admin.command("replSetGetStatus")
            assert sorted(member["stateStr"] for member in status["members"]) == [
                "(not reachable/healthy)", "PRIMARY", "SECONDARY",
            ]
            assert status["term"] == 2 + number

        def test_without_lag(client):
            client.shop.drop_collection("orders")
        """,
    )
    from_primary.run_apart().assert_outcomes(passed=4)


SESSION_WIDE = """
    import pymongo
    import pytest

    @pytest.fixture(scope="session")
    def orders(replica_lag_uri):
        with pymongo.MongoClient(replica_lag_uri, readPreference="secondaryPreferred") as client:
            yield client.shop.orders

    @pytest.fixture(autouse=True)
    def no_orders(orders):
        orders.delete_many({})  # is not retried

    @pytest.mark.replica_lag
    def test_it(orders):
        orders.insert_one({"_id": 7})
        assert orders.find_one({"_id": 7})
"""


@pytest.mark.slow
def test_a_client_that_has_not_heard_of_an_election_finds_its_primary_in_the_next_run(
    from_primary, summary
):
    from_primary.file("test_it", SESSION_WIDE)
    result = from_primary.run_apart("--replica-lag-explore=100", "--replica-lag-elections")
    result.assert_outcomes(failed=1)
    assert summary(result)[-1].startswith("test_it.py::test_it: fails by a schedule")


@pytest.mark.slow
def test_an_administrator_lets_the_primary_step_down(from_primary):
    from_primary.file(
        "test_it",
        """
        import pymongo
        import pytest
        from pymongo.errors import NotPrimaryError, OperationFailure

        def code_of(client, **command):
            with pytest.raises(OperationFailure) as told:
                client.admin.command(command)
            return told.value.code, told.value.details["errmsg"]

        @pytest.mark.replica_lag("11s,11s")
        def test_it(replica_lag):
            with pymongo.MongoClient(replica_lag.uri) as client:
                assert code_of(client, replSetStepDown=-1) == (
                    2, "stepdown period must be a positive integer",
                )
                assert code_of(client, replSetStepDown=5) == (
                    2, "stepdown period must be longer than secondaryCatchUpPeriodSecs",
                )
                client.shop.get_collection(
                    "orders", write_concern=pymongo.WriteConcern(w=1)
                ).insert_one({"_id": 1})
                code, message = code_of(client, replSetStepDown=60)
                assert code == 262
                assert message.startswith("No electable secondaries caught up as of ")
                client.admin.command("replSetStepDown", 60, force=True)
                with pytest.raises(NotPrimaryError) as told:
                    client.shop.orders.delete_many({"_id": 2})
                assert told.value.details["code"] == 10107
                assert client.shop.orders.count_documents({}) == 1
            assert replica_lag.primary.name == "secondary-1"
            assert replica_lag.lost_writes == []
        """,
    )
    from_primary.run_apart().assert_outcomes(passed=1)


def test_the_set_goes_on_with_other_roles(from_primary):
    from_primary.file(
        "test_it",
        """
        import pytest
        from pytest_replicalag import UnknownMemberError

        @pytest.mark.replica_lag("50ms,2s")
        def test_roles(replica_lag):
            term = replica_lag.primary.optime.t
            assert replica_lag.step_down().name == "secondary-1"
            assert [member.name for member in replica_lag.secondaries] == [
                "primary", "secondary-2",
            ]
            assert replica_lag.primary.is_primary
            assert str(replica_lag.members[0].lag) == "50ms"
            replica_lag.set_lag("1s", "primary")
            assert str(replica_lag.members[0].lag) == "1s"
            with pytest.raises(UnknownMemberError, match="one of primary, secondary-1, secon"):
                replica_lag.crash("secondary-9")
            replica_lag.crash(replica_lag.secondaries[1])
            assert not replica_lag.members[2].is_up
            replica_lag.restart("secondary-2")
            assert replica_lag.crash_primary().name == "primary"
            assert "crashed" in repr(replica_lag.members[1])
            assert not replica_lag.members[1].is_up
            replica_lag.restart()
            assert replica_lag.members[1].is_up
            assert replica_lag.primary.optime.t == term + 2

        @pytest.mark.replica_lag("200ms")
        def test_the_next_test_has_a_new_set(replica_lag):
            assert replica_lag.primary.name == "primary"

        def test_without_lag(replica_lag):
            replica_lag.step_down()
            replica_lag.crash_primary()
            replica_lag.restart()
            assert replica_lag.lost_writes == []
        """,
    )
    from_primary.run().assert_outcomes(passed=3)


@pytest.mark.parametrize("engine", ["mongod", "replicaset"])
def test_elections_of_another_engine_are_refused(from_primary, engine):
    refusal = from_primary.refused(
        "--replica-lag-elections",
        f"--replica-lag-engine={engine}",
        "--replica-lag-mongod=mongodb://127.0.0.1:1",
    )
    assert refusal == (
        f"--replica-lag-elections: the engine {engine} cannot undo writes, as an election may "
        "have to; leave one out"
    )


def test_an_election_on_another_engine_says_which_one_can(from_primary):
    from_primary.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag("200ms")
        @pytest.mark.parametrize("method", ["step_down", "crash_primary"])
        def test_it(replica_lag, method):
            getattr(replica_lag, method)()
        """,
    )
    result = from_primary.run_apart(
        "--replica-lag-engine=mongod", "--replica-lag-mongod=mongodb://127.0.0.1:1"
    )
    result.stdout.fnmatch_lines(
        ["*EngineError: step_down() needs the memory engine, which can undo writes; leave out *"]
    )


def test_a_change_stream_goes_on_with_another_member_when_its_own_has_crashed(from_primary):
    from_primary.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag("200ms")
        def test_it(db, replica_lag):
            with db.orders.watch() as stream:
                replica_lag.crash_primary()
                db.orders.insert_one({"_id": 2})
                assert stream.next()["documentKey"] == {"_id": 2}
        """,
    )
    from_primary.run().assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_collection_that_is_renamed_has_one_name_in_process_and_on_the_wire(from_primary):
    from_primary.file(
        "test_it",
        """
        import mongomock
        import pymongo
        import pytest
        from pytest_replicalag import wrap

        @pytest.mark.replica_lag("1s,1s")
        @pytest.mark.parametrize("kind", ["process", "wire"])
        def test_it(replica_lag, replica_lag_uri, kind):
            client = wrap(mongomock.MongoClient())
            if kind == "wire":
                client = pymongo.MongoClient(replica_lag_uri)
            with client:
                orders = client.shop.get_collection(
                    "orders", write_concern=pymongo.WriteConcern(w=1)
                )
                orders.insert_one({"_id": 7})
                replica_lag.catch_up()
                orders.rename("old")
                replica_lag.crash_primary()
                [lost] = replica_lag.lost_writes
                assert (lost.namespace, lost.text) == ("shop.orders", 'shop.orders.rename("old")')
        """,
    )
    from_primary.run_apart().assert_outcomes(passed=2)
