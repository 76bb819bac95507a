"""Real time: a wait on the wire takes what it takes, and holds up nobody else."""

from __future__ import annotations

import threading

import pytest
from pymongo import ReadPreference, WriteConcern
from pymongo.errors import WTimeoutError

pytestmark = pytest.mark.slow

SECONDARY = ReadPreference.SECONDARY
LAG = "2s"
"""Longer than any machine needs for a few commands."""


def test_a_causal_read_waits_for_its_member_while_others_are_answered(wired):
    with wired(lag=LAG, clock="wall") as shop:
        orders = shop.client.shop.orders
        lagging = orders.with_options(read_preference=SECONDARY)
        with shop.client.start_session(causal_consistency=True) as session:
            orders.insert_one({"_id": 7}, session=session)
            found: list[object] = []
            reader = threading.Thread(
                target=lambda: found.append(lagging.find_one({"_id": 7}, session=session))
            )
            reader.start()
            assert lagging.find_one({"_id": 7}) is None
            assert not found
            reader.join()
        assert found == [{"_id": 7}]


def test_a_write_concern_is_waited_for_or_given_up(wired):
    with wired(lag=LAG, clock="wall") as shop:
        orders = shop.client.shop.orders
        impatient = orders.with_options(write_concern=WriteConcern(3, wtimeout=50))
        with pytest.raises(WTimeoutError):
            impatient.insert_one({"_id": 1})
        orders.with_options(write_concern=WriteConcern(3)).insert_one({"_id": 2})
        assert orders.with_options(read_preference=SECONDARY).find_one({"_id": 2}) == {"_id": 2}
