"""`--replica-lag-clock`."""


def test_virtual_time_does_not_move_by_computing(project):
    project.file(
        "test_it",
        """
        import pytest, time

        @pytest.mark.replica_lag
        def test_it(db, replica_lag):
            end = time.monotonic() + 0.03
            while time.monotonic() < end:
                pass
            assert str(replica_lag.now()) == "0ms"
            db.orders.insert_one({"_id": 7})
            db.orders.find_one()
            assert str(replica_lag.now()) == "2ms"
        """,
    )
    project.run("--replica-lag=10ms").assert_outcomes(passed=1)


def test_sleeps_move_virtual_time_and_take_their_time(project):
    project.file(
        "test_it",
        """
        import pytest, time

        @pytest.mark.replica_lag
        def test_it(db, replica_lag):
            db.orders.insert_one({"_id": 7})
            assert db.orders.find_one() is None
            since = time.monotonic()
            time.sleep(0.02)
            assert time.monotonic() - since >= 0.02
            assert db.orders.find_one() == {"_id": 7}
            assert str(replica_lag.now()) == "23ms"
        """,
    )
    project.run("--replica-lag=20ms").assert_outcomes(passed=1)


def test_the_wall_clock_is_real_time(project):
    project.file(
        "test_it",
        """
        import pytest, time

        @pytest.mark.replica_lag
        def test_it(db, replica_lag):
            db.orders.insert_one({"_id": 7})
            assert db.orders.find_one() is None
            end = time.monotonic() + 0.12
            while time.monotonic() < end:  # not by sleeping
                pass
            assert db.orders.find_one() == {"_id": 7}
            assert replica_lag.now().total_seconds() >= 0.12
        """,
    )
    project.run("--replica-lag=100ms", "--replica-lag-clock=wall").assert_outcomes(passed=1)
    project.ini("replica_lag_clock = wall")
    project.run("--replica-lag=100ms").assert_outcomes(passed=1)


def test_sleeps_are_not_counted_twice_on_the_wall_clock(project):
    project.file(
        "test_it",
        """
        import pytest, time

        @pytest.mark.replica_lag("10s", clock="wall")
        def test_it(replica_lag):
            since, began = replica_lag.now(), time.monotonic()
            time.sleep(0.02)
            elapsed = (replica_lag.now() - since).total_seconds()
            assert abs(elapsed - (time.monotonic() - began)) < 0.015
        """,
    )
    project.run().assert_outcomes(passed=1)
