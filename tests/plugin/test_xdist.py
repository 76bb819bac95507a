"""With pytest-xdist: one summary for all workers, and the same as without."""

import pytest

pytest.importorskip("xdist")
pytestmark = pytest.mark.slow

XDIST = ("xdist.plugin",)

TESTS = """
import pytest
from app import get_order, place_order

@pytest.mark.replica_lag
@pytest.mark.parametrize("number", range(6))
def test_order(db, number):
    place_order(db, number)
    assert get_order(db, number) is None or number > 3
    assert number != 5

@pytest.mark.replica_lag
def test_count(db):
    place_order(db, 7)
    db.orders.count_documents({})
"""


def test_the_summary_and_sections_are_those_of_a_single_process(project, summary, section):
    project.file("test_it", TESTS)
    alone = project.run("--replica-lag=1s")
    spread = project.run_apart("--replica-lag=1s", "-n2", plugins=XDIST)
    alone.assert_outcomes(failed=1, passed=6)
    spread.assert_outcomes(failed=1, passed=6)
    assert summary(alone) == [
        "app.py:6: shop.orders.find_one missed insert_one at app.py:2",
        "    (6 times: test_it.py::test_order[0], test_it.py::test_order[1],",
        "    test_it.py::test_order[2] and 3 more)",
        "test_it.py:14: shop.orders.count_documents missed insert_one at app.py:2",
        "    (once: test_it.py::test_count)",
        "Stale reads in 7 of 7 tests with lag.",
        "1 test fails without lag too.",
    ]
    assert summary(spread) == summary(alone)
    assert section(spread) == section(alone)
    assert section(alone)[0].startswith('stale read  shop.orders.find_one({"_id": 5}) returned')
    assert spread.stdout.str().count("- replica lag -") == 1


def test_marked_tests_without_lag_are_counted_over_all_workers(project, summary):
    project.file("test_it", TESTS.replace("assert", "pass #"))
    result = project.run_apart("-n2", plugins=XDIST)
    result.assert_outcomes(passed=7)
    text = "7 tests marked replica_lag ran without lag; add --replica-lag=200ms"
    assert summary(result) == [text]


def test_a_bad_marker_is_a_usage_error(project):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag("soon")
        def test_it(): ...
        """,
    )
    assert project.refused("-n2", plugins=XDIST, apart=True) == (
        "@pytest.mark.replica_lag on test_it.py::test_it: 'soon' is not a duration; write one "
        "such as 250us, 200ms, 1.5s, 2m or inf"
    )


def test_a_bad_option_is_a_usage_error(project):
    assert project.refused("-n2", "--replica-lag=200", plugins=XDIST, apart=True) == (
        "--replica-lag: '200' has no unit; write 200ms or 200s"
    )


def test_a_worker_that_dies_takes_no_other_tests_findings_with_it(project, summary):
    project.file(
        "test_it",
        TESTS
        + """
def test_the_end():
    import os
    os._exit(1)
""",
    )
    result = project.run_apart("--replica-lag=1s", "-n1", plugins=XDIST)
    assert summary(result)[-2] == "Stale reads in 7 of 7 tests with lag."
