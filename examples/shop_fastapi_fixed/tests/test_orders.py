import pytest


@pytest.mark.anyio
@pytest.mark.replica_lag
async def test_a_placed_order_is_confirmed(web):
    page = await web.post("/orders/7", json=["tea"])
    assert page.json() == "Order 7 is placed: tea."
