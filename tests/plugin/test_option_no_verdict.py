"""A test that fails under lag runs again without lag, and the report says what that tells."""

import pytest

ONLY = "1 test fails only under replica lag."
ALSO = "1 test fails without lag too."
UNKNOWN = "No verdict on 1 test: run again without lag, it fails elsewhere; it may leave"


def test_a_test_that_only_lag_breaks(project, summary, section):
    project.buggy()
    result = project.run("--replica-lag=1s")
    result.assert_outcomes(failed=1)
    assert ONLY in summary(result)
    assert "verdict     fails only under replica lag" in section(result)


def test_a_test_that_fails_anyway(project, summary, section):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag
        def test_it(db):
            assert db.orders.count_documents({}) == 1
        """,
    )
    result = project.run("--replica-lag=1s")
    assert ALSO in summary(result)
    assert section(result) == ["verdict     fails without lag too"]


def test_a_test_that_leaves_something_behind(project, summary):
    project.file(
        "test_it",
        """
        import mongomock, pytest
        from pytest_replicalag import wrap

        @pytest.fixture(scope="session")
        def db():
            return wrap(mongomock.MongoClient()).shop

        @pytest.fixture
        def order(db):
            db.orders.insert_one({"_id": 7})

        @pytest.mark.replica_lag(read_preference="secondary")
        def test_it(db, order):
            db.orders.insert_one({"_id": 8})
            assert db.orders.find_one({"_id": 8})
        """,
    )
    assert UNKNOWN in " ".join(summary(project.run("--replica-lag=1s")))


def test_a_test_that_skips_itself_without_lag(project, summary, section):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag(read_preference="secondary")
        def test_it(db):
            db.orders.insert_one({"_id": 1})
            if db.orders.find_one() is not None:
                pytest.skip("needs a stale read")
            assert 0
        """,
    )
    result = project.run("--replica-lag=1s")
    assert "No verdict on 1 test: run again without lag, it is skipped." in summary(result)
    assert "verdict     none: run again without lag, it is skipped" in section(result)


def test_it_can_be_switched_off(project, summary):
    project.buggy()
    off = project.run("--replica-lag=1s", "--replica-lag-no-verdict")
    assert summary(off)[-1] == "Stale reads in 1 of 1 test with lag."
    project.ini("replica_lag_no_verdict = true")
    assert summary(project.run("--replica-lag=1s")) == summary(off)


def test_a_passing_test_runs_once(project):
    project.file(
        "test_it",
        """
        import pytest

        runs = []

        @pytest.mark.replica_lag
        def test_it(db):
            runs.append(1)

        def test_runs():
            assert len(runs) == 1
        """,
    )
    project.run("--replica-lag=1s").assert_outcomes(passed=2)


def test_fixtures_of_wider_scopes_end_once_and_their_failure_is_told(project):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.fixture(scope="module")
        def wide():
            yield
            raise RuntimeError("the end of wide")

        @pytest.fixture
        def narrow(request):
            print("narrow begins")
            yield
            print("narrow ends")

        @pytest.mark.replica_lag
        def test_it(db, wide, narrow):
            print("in the test")
            assert 0
        """,
    )
    result = project.run("--replica-lag=1s")
    result.assert_outcomes(failed=1, errors=1)
    assert result.stdout.str().count("RuntimeError: the end of wide") == 2  # and in the summary
    assert result.outlines.count("in the test") == 2  # in both reports


@pytest.mark.parametrize("option", ["-x", "--maxfail=1"])
def test_a_run_that_stops_at_a_failure_stops(project, option):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.fixture(scope="module")
        def wide():
            yield
            print("wide ends")

        @pytest.mark.replica_lag
        @pytest.mark.parametrize("number", [1, 2])
        def test_it(db, wide, number):
            assert 0
        """,
    )
    result = project.run("--replica-lag=1s", option, "-s")
    result.assert_outcomes(failed=1)
    assert result.stdout.str().count("wide ends") == 1


def test_a_bad_value_is_refused(project):
    project.ini("replica_lag_no_verdict = perhaps")
    assert "replica_lag_no_verdict in the ini file" in project.refused()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["in process", "on the wire"])
def test_data_that_outlive_the_test_do_not_stand_in_the_way(project, summary, how):
    opening = {
        "in process": "wrap(mongomock.MongoClient(readPreference='secondary'))",
        "on the wire": "pymongo.MongoClient(replica_lag_uri, readPreference='secondary')",
    }
    project.file(
        "test_it",
        f"""
        import mongomock
        import pymongo
        import pytest
        from pytest_replicalag import wrap

        SECONDARY = pymongo.ReadPreference.SECONDARY

        @pytest.fixture(scope="module")
        def orders(replica_lag_uri):
            with {opening[how]} as client:
                yield client.shop.get_collection("orders", read_preference=SECONDARY)

        @pytest.mark.replica_lag
        def test_order(orders):
            orders.insert_one({{"_id": 7}})
            orders.create_index("n")
            assert orders.find_one({{"_id": 7}})

        def test_what_it_has_left(orders):
            assert orders.count_documents({{}}) == 1
        """,
    )
    result = project.run_apart("--replica-lag=200ms")
    result.assert_outcomes(passed=1, failed=1)
    assert "1 test fails only under replica lag." in summary(result)
    explored = project.run_apart("--replica-lag-explore=50")
    explored.assert_outcomes(passed=1, failed=1)
    assert any("fails by a schedule" in line for line in summary(explored))


def test_a_teardown_that_fails_anyway_is_no_failure_of_the_test(project, summary):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.fixture
        def shop(db):
            yield db
            raise RuntimeError

        @pytest.mark.replica_lag
        def test_it(shop):
            shop.orders.insert_one({"_id": 8})
            assert shop.orders.find_one({"_id": 8})
        """,
    )
    result = project.run("--replica-lag=1s")
    result.assert_outcomes(failed=1, errors=1)
    assert ONLY in summary(result)
