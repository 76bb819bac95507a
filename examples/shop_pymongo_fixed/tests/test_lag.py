"""What else the fixture can show: time, members, and the reads that were stale."""

import pytest
from shop import accounts, carts, orders


@pytest.mark.replica_lag(on_stale="fail")
def test_nothing_that_the_shop_answers_is_stale(db):
    orders.place_order(db, 7, ["tea"])
    carts.add_to_cart(db, "ada", "tea")
    accounts.pay(db, "ada", 20)


@pytest.mark.replica_lag
def test_the_balance_waits_for_the_secondary_and_not_longer(db, replica_lag):
    accounts.pay(db, "ada", 20)
    assert replica_lag.stale_reads == []
    if replica_lag.enabled:
        assert replica_lag.now() >= replica_lag.lag


@pytest.mark.replica_lag(on_stale="ignore")  # stale here is as intended
def test_a_balance_asked_for_elsewhere_may_be_a_moment_old(db, replica_lag):
    accounts.pay(db, "ada", 20)
    db.payments.insert_one({"customer": "ada", "amount": 5})
    assert accounts.balance(db, "ada") == (20 if replica_lag.enabled else 25)
    replica_lag.catch_up()
    assert accounts.balance(db, "ada") == 25
