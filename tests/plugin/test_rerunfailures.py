"""With pytest-rerunfailures each run of a test has a simulation of its own."""

import pytest

pytest.importorskip("pytest_rerunfailures")


def test_a_rerun_starts_afresh_and_its_stale_reads_count(project, summary):
    project.file(
        "test_it",
        """
        import pytest

        runs = []

        @pytest.mark.replica_lag("1s")
        def test_it(db, replica_lag):
            runs.append(1)
            assert str(replica_lag.now()) == "0ms"
            assert replica_lag.stale_reads == []
            db.orders.insert_one({"_id": 7})
            db.orders.find_one({"_id": 7})
            assert len(runs) == 3
        """,
    )
    result = project.run("--reruns=3", plugins=("pytest_rerunfailures",))
    assert result.parseoutcomes() == {"passed": 1, "rerun": 2}
    assert summary(result) == [
        "test_it.py:11: shop.orders.find_one missed insert_one at test_it.py:10",
        "    (3 times: test_it.py::test_it)",
        "Stale reads in 1 of 1 test with lag.",
    ]


def test_a_stale_read_that_fails_its_test_fails_each_run(project):
    project.buggy()
    result = project.run(
        "--replica-lag=1s",
        "--replica-lag-on-stale=fail",
        "--reruns=1",
        plugins=("pytest_rerunfailures",),
    )
    assert result.parseoutcomes() == {"failed": 1, "rerun": 1}
