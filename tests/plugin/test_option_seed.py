"""`--replica-lag-seed`: ranges of lag are drawn from it, with the test's node id."""

DRAWS = """
import pytest

@pytest.mark.replica_lag("1ms..500ms", write_concern=3)
def test_a(db, replica_lag):
    db.orders.insert_one({})
    print("drawn a:", replica_lag.now())

@pytest.mark.replica_lag("1ms..500ms", write_concern=3)
def test_b(db, replica_lag):
    db.orders.insert_one({})
    print("drawn b:", replica_lag.now())
"""


def drawn(result):
    return dict(
        line[-20:].split("drawn ")[1].split(": ") for line in result.outlines if "drawn" in line
    )


def test_a_seed_gives_the_same_lags_whatever_else_runs(project):
    project.file("test_it", DRAWS)
    both = drawn(project.run("-s"))
    assert both.keys() == {"a", "b"}
    assert both["a"] != both["b"]
    assert drawn(project.run("-s", "test_it.py::test_b")) == {"b": both["b"]}
    assert drawn(project.run("-s", "--replica-lag-seed=0")) == both


def test_another_seed_gives_other_lags(project):
    project.file("test_it", DRAWS)
    default = drawn(project.run("-s"))
    other = drawn(project.run("-s", "--replica-lag-seed=1"))
    assert default["a"] != other["a"]
    project.ini("replica_lag_seed = 1")
    assert drawn(project.run("-s")) == other
