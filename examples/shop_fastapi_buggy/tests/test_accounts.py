import pytest


@pytest.fixture
async def paid_before(db):
    await db.payments.insert_one({"customer": "ada", "amount": 5})


@pytest.mark.anyio
@pytest.mark.usefixtures("paid_before")
@pytest.mark.replica_lag
async def test_a_payment_raises_the_balance(web):
    balance = await web.post("/accounts/ada/payments", json=20)
    assert balance.json() == 25
