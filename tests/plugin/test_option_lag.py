"""`--replica-lag` and the ini key `replica_lag`."""

import pytest


def test_a_marked_test_reads_stale_data_with_lag_and_passes_without(project):
    project.buggy()
    project.run().assert_outcomes(passed=1)
    project.run("--replica-lag=200ms").assert_outcomes(failed=1)


def test_a_lag_in_ini_holds_as_one_on_the_command_line(project):
    project.buggy()
    project.ini("replica_lag = 200ms")
    project.run().assert_outcomes(failed=1)


def test_an_empty_lag_in_ini_is_none(project):
    project.buggy()
    project.ini("replica_lag =")
    project.run().assert_outcomes(passed=1)


def test_off_on_the_command_line_switches_markers_off_too(project):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag("1s")
        def test_it(replica_lag):
            assert not replica_lag.enabled
        """,
    )
    project.run("--replica-lag=off").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("lag", "lags"),
    [
        ("200ms", ["0ms", "200ms"]),
        ("250us", ["0ms", "250us"]),
        ("1.5s", ["0ms", "1.5s"]),
        ("2m", ["0ms", "2m"]),
        ("inf", ["0ms", "inf"]),
        ("0", ["0ms", "0ms"]),
        ("50ms,2s", ["50ms", "2s"]),
        ("50ms..400ms", ["0ms", "400ms"]),
        ("50ms,1s..2s", ["50ms", "2s"]),
        (" 50ms , 2s ", ["50ms", "2s"]),
    ],
)
def test_each_secondary_has_its_lag(project, lag, lags):
    project.file(
        "test_it",
        f"""
        import pytest

        @pytest.mark.replica_lag
        def test_it(replica_lag):
            assert [str(member.lag) for member in replica_lag.secondaries] == {lags}
            assert str(replica_lag.lag) == {max(lags, key=lags.index)!r}
        """,
    )
    project.run(f"--replica-lag={lag}").assert_outcomes(passed=1)


def test_a_secondary_shows_a_write_once_its_lag_is_over(project):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag
        def test_it(db, replica_lag):
            db.orders.insert_one({"_id": 7})
            replica_lag.advance("198ms")
            assert db.orders.find_one() is None  # 199 ms after the write
            assert db.orders.find_one() == {"_id": 7}
        """,
    )
    project.run("--replica-lag=200ms").assert_outcomes(passed=1)


def test_what_fixtures_wrote_is_old_data_that_every_member_has(project):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.fixture
        def order(db):
            db.orders.insert_one({"_id": 7})
            assert db.orders.find_one() == {"_id": 7}
            yield 7
            assert db.orders.count_documents({}) == 2

        @pytest.mark.replica_lag
        def test_it(db, order):
            assert db.orders.find_one({"_id": order}) == {"_id": order}
            db.orders.insert_one({"_id": 8})
            assert db.orders.count_documents({}) == 1
        """,
    )
    project.run("--replica-lag=inf").assert_outcomes(passed=1)


def test_the_header_says_lag_tests_and_seed(project):
    result = project.run("--replica-lag=50ms,1s..2s", "--replica-lag-seed=5")
    assert "replica lag: 50ms,1s..2s in tests marked replica_lag, seed=5" in result.outlines


def test_the_header_says_what_is_not_at_its_default_in_lines_of_the_terminals_width(project):
    project.ini("replica_lag = 200ms", "replica_lag_all = true", "replica_lag_on_stale = fail")
    result = project.run(
        "--replica-lag-secondaries=4",
        "--replica-lag-read-preference=secondaryPreferred",
        "--replica-lag-write-concern=1",
        "--replica-lag-choose=alternate",
    )
    start = result.outlines.index("replica lag: 200ms in every test, secondaries=4,")
    assert result.outlines[start : start + 3] == [
        "replica lag: 200ms in every test, secondaries=4,",
        "    read_preference=secondaryPreferred, write_concern=1, choose=alternate,",
        "    on_stale=fail, seed=0",
    ]


def test_the_header_says_nothing_when_lag_is_off(project):
    for arguments in ([], ["--replica-lag=off"]):
        assert "replica lag" not in project.run(*arguments).stdout.str()


def test_a_lag_that_concerns_no_test_is_told(project, summary):
    project.file("test_it", "def test_it():\n    pass\n\n\ndef test_more():\n    pass\n")
    assert summary(project.run("--replica-lag=200ms")) == [
        "No test ran with lag: none of 2 tests is marked replica_lag; add",
        "    --replica-lag-all.",
    ]
    assert summary(project.run("--replica-lag=off")) is None
    assert summary(project.run()) is None
