import pytest


@pytest.mark.anyio
@pytest.mark.replica_lag
async def test_an_added_item_is_in_the_cart(web):
    cart = await web.post("/carts/ada", json="tea")
    assert cart.json() == ["tea"]
