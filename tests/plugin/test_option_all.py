"""`--replica-lag-all`."""

import re

import pytest

UNMARKED = """
def test_it(db, replica_lag):
    db.orders.insert_one({"_id": 7})
    assert (db.orders.find_one() is None) is replica_lag.enabled
    assert str(replica_lag.lag) == "LAG"
"""


def test_unmarked_tests_lag(project):
    project.file("test_it", UNMARKED.replace("LAG", "200ms"))
    project.run("--replica-lag=200ms", "--replica-lag-all").assert_outcomes(passed=1)


@pytest.mark.parametrize("word", ["true", "True", "1", "yes", "on"])
def test_it_can_be_said_in_ini(project, word):
    project.ini(f"replica_lag_all = {word}")
    project.file("test_it", UNMARKED.replace("LAG", "200ms"))
    project.run("--replica-lag=200ms").assert_outcomes(passed=1)


def test_false_in_ini_is_the_default(project):
    project.ini("replica_lag_all = false")
    project.file("test_it", UNMARKED.replace("LAG", "0ms"))
    project.run("--replica-lag=200ms").assert_outcomes(passed=1)


def test_true_in_ini_without_a_lag_waits_for_one(project):
    project.ini("replica_lag_all = true")
    project.file("test_it", UNMARKED.replace("LAG", "0ms"))
    project.run().assert_outcomes(passed=1)


def test_off_wins(project):
    project.file("test_it", UNMARKED.replace("LAG", "0ms"))
    project.run("--replica-lag=off", "--replica-lag-all").assert_outcomes(passed=1)


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest 9 reads the table [tool.pytest]")
def test_it_is_a_truth_value_in_toml(project):
    (project.path / "pyproject.toml").write_text("[tool.pytest]\nreplica_lag_all = true\n")
    project.file("test_it", UNMARKED.replace("LAG", "200ms"))
    project.run("--replica-lag=200ms").assert_outcomes(passed=1)


def test_doctests_and_unittests_lag_too(project):
    project.file(
        "test_it",
        '''
        """
        >>> import mongomock, pytest_replicalag
        >>> db = pytest_replicalag.MongoClient("mongodb://db/?readPreference=secondary").shop
        >>> _ = db.orders.insert_one({"_id": 7})
        >>> print(db.orders.find_one())
        None
        """
        import unittest
        import pytest_replicalag

        class Case(unittest.TestCase):
            def test_it(self):
                db = pytest_replicalag.MongoClient("mongodb://db/?readPreference=secondary").shop
                db.orders.insert_one({"_id": 7})
                assert db.orders.find_one() is None
        ''',
    )
    result = project.run("--replica-lag=200ms", "--replica-lag-all", "--doctest-modules")
    result.assert_outcomes(passed=2)


def test_a_report_names_the_line_of_a_doctests_example(project, section):
    project.file(
        "shop",
        '''
        """Orders.

        >>> import mongomock
        >>> from pytest_replicalag import wrap
        >>> db = wrap(mongomock.MongoClient()).shop
        >>> db.orders.insert_one({"_id": 7}).inserted_id
        7
        >>> db.orders.find_one({"_id": 7})
        {'_id': 7}
        """
        ''',
    )
    options = ("--replica-lag=200ms", "--replica-lag-all", "--doctest-modules", "shop.py")
    mode = "--replica-lag-read-preference=secondary"
    lines = section(project.run(*options, mode))
    assert re.findall(r"shop\.py:(\d+)", " ".join(lines))[:2] == ["8", "6"]
    replay = lines[-1].removeprefix("replay").split()
    assert replay[:3] == ["pytest", "shop.py::shop", "--doctest-modules"]
    project.run(*replay[1:]).assert_outcomes(failed=1)
