"""`--replica-lag-on-stale`."""

STALE = """
import pytest

@pytest.mark.replica_lag
def test_one(db):
    db.orders.insert_one({"_id": 7})
    db.orders.find_one({"_id": 7})

@pytest.mark.replica_lag
def test_two(db):
    db.orders.insert_one({"_id": 7})
    db.orders.find_one({"_id": 7})
    db.orders.count_documents({})

@pytest.mark.replica_lag
def test_fresh(db):
    db.orders.find_one({"_id": 7})
"""


def test_report_lets_tests_pass(project, summary):
    project.file("test_it", STALE)
    for arguments in ([], ["--replica-lag-on-stale=report"]):
        result = project.run("--replica-lag=1s", *arguments)
        result.assert_outcomes(passed=3)
        assert summary(result)[-1] == "Stale reads in 2 of 3 tests with lag."


def test_fail_fails_tests_whose_assertions_passed_without_a_traceback(project, section):
    project.file("test_it", STALE)
    project.ini("replica_lag_on_stale = fail")
    result = project.run("--replica-lag=1s")
    result.assert_outcomes(failed=2, passed=1)
    start = next(n for n, line in enumerate(result.outlines) if line.startswith("___"))
    assert result.outlines[start + 1] == (
        "the test passed, but made a stale read (see section “replica lag”; on_stale=fail)"
    )
    assert result.outlines[start + 2].strip("-") == " replica lag "
    assert (
        "the test passed, but made 2 stale reads (see section “replica lag”; on_stale=fail)"
        in result.outlines
    )
    assert "Traceback" not in result.stdout.str()
    assert "pytest_replicalag" not in "\n".join(section(result))


def test_fail_leaves_a_failure_as_it_is(project):
    project.buggy()
    result = project.run("--replica-lag=1s", "--replica-lag-on-stale=fail")
    result.assert_outcomes(failed=1)
    assert "E       TypeError: 'NoneType' object is not subscriptable" in result.outlines
    assert "the test passed" not in result.stdout.str()


def test_a_stale_read_of_a_skipped_or_expected_failure_is_no_failure(project):
    project.file(
        "test_it",
        """
        import pytest

        def read(db):
            db.orders.insert_one({"_id": 7})
            assert db.orders.find_one({"_id": 7}) is None

        @pytest.mark.replica_lag
        def test_skipped(db):
            read(db)
            pytest.skip("seen enough")

        @pytest.mark.replica_lag
        @pytest.mark.xfail(strict=True)
        def test_expected(db):
            read(db)
        """,
    )
    result = project.run("--replica-lag=1s", "--replica-lag-on-stale=fail")
    result.assert_outcomes(skipped=1, xfailed=1)


def test_ignore_neither_looks_nor_claims_to_have_looked(project, summary):
    project.file("test_it", STALE)
    result = project.run("--replica-lag=1s", "--replica-lag-on-stale=ignore")
    result.assert_outcomes(passed=3)
    assert summary(result) is None
