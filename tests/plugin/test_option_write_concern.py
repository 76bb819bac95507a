"""`--replica-lag-write-concern`: what clients opened without one use."""

import pytest

TEST = """
import pytest

@pytest.mark.replica_lag
def test_it(db, replica_lag):
    result = db.orders.insert_one({"_id": 7})
    assert result.acknowledged is ACKNOWLEDGED
    assert str(replica_lag.now()) == "TAKES"
"""


@pytest.mark.parametrize(
    ("write_concern", "acknowledged", "takes"),
    [
        ("majority", True, "1ms"),
        ("0", False, "1ms"),
        ("1", True, "1ms"),
        ("2", True, "1ms"),
        ("3", True, "201ms"),
    ],
)
def test_a_write_waits_for_as_many_members(project, write_concern, acknowledged, takes):
    test = TEST.replace("ACKNOWLEDGED", str(acknowledged)).replace("TAKES", takes)
    project.file("test_it", test)
    result = project.run("--replica-lag=200ms", f"--replica-lag-write-concern={write_concern}")
    result.assert_outcomes(passed=1)


def test_it_can_be_said_in_ini(project):
    project.ini("replica_lag_write_concern = 3")
    project.file("test_it", TEST.replace("ACKNOWLEDGED", "True").replace("TAKES", "201ms"))
    project.run("--replica-lag=200ms").assert_outcomes(passed=1)


def test_what_a_collection_was_given_wins(project):
    project.file(
        "test_it",
        """
        import pytest
        from pymongo import WriteConcern

        @pytest.mark.replica_lag
        def test_it(db, replica_lag):
            db.orders.with_options(write_concern=WriteConcern(w=1)).insert_one({"_id": 7})
            assert str(replica_lag.now()) == "1ms"
        """,
    )
    result = project.run("--replica-lag=200ms", "--replica-lag-write-concern=3")
    result.assert_outcomes(passed=1)


def test_a_wait_that_can_never_end_fails_at_once(project):
    project.file(
        "test_it",
        """
        import pytest
        from pytest_replicalag import EndlessWaitError

        @pytest.mark.replica_lag
        def test_it(db):
            with pytest.raises(EndlessWaitError) as caught:
                db.orders.insert_one({"_id": 7})
            assert str(caught.value) == (
                "insert_one with write concern w: 3 would wait for ever: it waits until 3 of 3 "
                "members have the write, but secondary-2 has lag inf. Resume or catch up the "
                "member, give it a lag other than inf, or set a time limit (wtimeout for a write, "
                "max_time_ms for a read)."
            )
        """,
    )
    result = project.run("--replica-lag=inf", "--replica-lag-write-concern=3")
    result.assert_outcomes(passed=1)


def test_a_write_that_waits_for_a_crashed_member_says_what_lets_it_go_on(project):
    project.file(
        "test_it",
        """
        import pytest
        from pytest_replicalag import EndlessWaitError

        @pytest.mark.replica_lag
        def test_it(db, replica_lag):
            replica_lag.crash("secondary-2")
            with pytest.raises(EndlessWaitError) as caught:
                db.orders.insert_one({"_id": 7})
            assert str(caught.value).endswith(
                "but secondary-2 has crashed. Let it be back (restart() of the fixture "
                'replica_lag), wait for a majority only (w: "majority"), or set a time limit '
                "(wtimeout)."
            )
        """,
    )
    result = project.run("--replica-lag=0", "--replica-lag-write-concern=3")
    result.assert_outcomes(passed=1)
