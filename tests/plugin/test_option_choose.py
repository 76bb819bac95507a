"""`--replica-lag-choose`: which of the eligible members serves a read."""

READS = """
import pytest

@pytest.mark.replica_lag("100ms,inf", read_preference="secondary")
def test_it(client):
    db = client.shop
    db.orders.insert_one({"_id": 7})
    print("served:", *[int(db.orders.count_documents({}) == 0) for _ in range(12)])

@pytest.mark.replica_lag("1ms,inf")
def test_members(db, replica_lag):
    db.orders.insert_one({"_id": 7})
    replica_lag.advance("1s")
    print("served:", *["SF"[db.orders.count_documents({})] for _ in range(12)])
"""


def served(result):
    return [line.split(": ")[1] for line in result.outlines if "served: " in line][-1]


def test_the_stalest_serves_by_default(project):
    project.file("test_it", READS)
    assert served(project.run("-s")) == "S S S S S S S S S S S S"
    assert served(project.run("-s", "--replica-lag-choose=stalest")) == "S S S S S S S S S S S S"


def test_members_serve_in_turn(project):
    project.file("test_it", READS)
    assert served(project.run("-s", "--replica-lag-choose=alternate")) == "F S F S F S F S F S F S"
    project.ini("replica_lag_choose = alternate")
    assert served(project.run("-s")) == "F S F S F S F S F S F S"


def test_random_draws_the_same_members_for_a_seed_and_a_test(project):
    project.file("test_it", READS)
    first, again, other = (
        served(project.run("-s", "--replica-lag-choose=random", f"--replica-lag-seed={seed}"))
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert {"S", "F"} == set(first) - {" "}
