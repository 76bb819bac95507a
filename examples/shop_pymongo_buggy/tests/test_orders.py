import pytest
from shop import orders


@pytest.mark.replica_lag
def test_a_placed_order_is_confirmed(db):
    page = orders.place_order(db, 7, ["tea"])
    assert page == "Order 7 is placed: tea."
