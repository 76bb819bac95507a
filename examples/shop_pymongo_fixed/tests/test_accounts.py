import pytest
from shop import accounts


@pytest.fixture
def paid_before(db):
    db.payments.insert_one({"customer": "ada", "amount": 5})


@pytest.mark.usefixtures("paid_before")
@pytest.mark.replica_lag
def test_a_payment_raises_the_balance(db):
    balance = accounts.pay(db, "ada", 20)
    assert balance == 25
