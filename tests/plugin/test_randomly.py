"""With pytest-randomly: neither the order of tests nor its seed changes what is found."""

import pytest

pytest.importorskip("pytest_randomly")


def test_order_and_seed_of_pytest_randomly_change_nothing(project, summary):
    project.file(
        "test_it",
        """
        import random

        import pytest

        @pytest.mark.replica_lag("1ms..9ms", choose="random")
        @pytest.mark.parametrize("number", range(8))
        def test_it(db, number):
            random.random()
            for _ in range(5):
                db.orders.insert_one({})
                db.orders.count_documents({})
        """,
    )
    expected = summary(project.run("-v", "--replica-lag-seed=3"))
    assert len(expected) > 1
    orders = set()
    for seed in range(3):
        result = project.run(
            "-v",
            "--replica-lag-seed=3",
            f"--randomly-seed={seed}",
            plugins=("pytest_randomly",),
        )
        orders.add(tuple(line.split()[0] for line in result.outlines if "PASSED" in line))
        assert summary(result) == expected
    assert len(orders) > 1
