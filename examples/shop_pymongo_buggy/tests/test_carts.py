import pytest
from shop import carts


@pytest.mark.replica_lag
def test_an_added_item_is_in_the_cart(db):
    items = carts.add_to_cart(db, "ada", "tea")
    assert items == ["tea"]
