"""Which member serves a read."""

from __future__ import annotations

import pytest
from pymongo.errors import ConfigurationError, ServerSelectionTimeoutError
from pymongo.read_preferences import (
    Nearest,
    Primary,
    PrimaryPreferred,
    Secondary,
    SecondaryPreferred,
)
from simulating import replica_set_of

from pytest_replicalag.replicaset.choose import Choose
from pytest_replicalag.replicaset.lag import seeded
from pytest_replicalag.replicaset.selection import ServerSelector


def selector_of(lags, choose=Choose.STALEST, seed=0):
    replica_set = replica_set_of(lags)
    return replica_set, ServerSelector(replica_set, choose, seeded(seed))


def write(replica_set):
    replica_set.oplog.append(replica_set.clock.now_us, None)


@pytest.mark.parametrize(
    ("preference", "names"),
    [
        (PrimaryPreferred(), ["primary"]),
        (Secondary(), ["secondary-1", "secondary-2"]),
        (SecondaryPreferred(), ["secondary-1", "secondary-2"]),
        (Nearest(), ["primary", "secondary-1", "secondary-2"]),
    ],
)
def test_a_mode_makes_the_members_eligible_that_pymongo_says(preference, names):
    _, selector = selector_of("0,0")
    assert [member.name for member in selector.eligible(preference)] == names


def test_primary_reads_go_to_the_primary():
    _, selector = selector_of("0,0")
    assert selector.select(Primary()).name == "primary"


def test_the_stalest_eligible_member_serves():
    replica_set, selector = selector_of("0,inf,5ms")
    write(replica_set)
    assert selector.select(Nearest()).name == "secondary-2"


def test_among_equally_stale_members_the_first_by_name_serves():
    replica_set, selector = selector_of("0,9ms,9ms")
    assert selector.select(Nearest()).name == "primary"
    assert selector.select(Secondary()).name == "secondary-1"
    write(replica_set)
    assert selector.select(Secondary()).name == "secondary-2"


def test_a_member_that_is_paused_on_its_own_becomes_the_stalest():
    replica_set, selector = selector_of("0,0")
    assert selector.select(Secondary()).name == "secondary-1"
    replica_set.pause(["secondary-2"])
    write(replica_set)
    assert selector.select(Secondary()).name == "secondary-2"


def test_alternate_takes_the_eligible_members_in_turn():
    _, selector = selector_of("0,0", Choose.ALTERNATE)
    chosen = [selector.select(Secondary()).name for _ in range(4)]
    assert chosen == ["secondary-1", "secondary-2", "secondary-1", "secondary-2"]


def test_random_chooses_every_member_and_the_same_ones_for_the_same_seed():
    def chosen(seed):
        _, selector = selector_of("0,0", Choose.RANDOM, seed)
        return [selector.select(Nearest()).name for _ in range(30)]

    assert set(chosen(0)) == {"primary", "secondary-1", "secondary-2"}
    assert chosen(0) == chosen(0)
    assert chosen(0) != chosen(1)


def test_tag_sets_that_no_member_has_leave_nobody_to_serve():
    _, selector = selector_of("0,0")
    with pytest.raises(ServerSelectionTimeoutError, match="No replica set members match selector"):
        selector.select(Secondary(tag_sets=[{"dc": "ny"}]))


def test_an_empty_tag_set_at_the_end_matches_every_member():
    _, selector = selector_of("0,0")
    assert selector.select(Secondary(tag_sets=[{"dc": "ny"}, {}])).name == "secondary-1"


def test_a_tag_set_selects_the_members_that_have_it():
    replica_set, selector = selector_of("0,0")
    replica_set.member("secondary-2").tags = {"dc": "ny"}
    assert selector.select(Secondary(tag_sets=[{"dc": "ny"}])).name == "secondary-2"


def test_max_staleness_leaves_out_a_member_that_is_further_behind():
    replica_set, selector = selector_of("inf,0")
    write(replica_set)
    replica_set.clock.advance(80_000_000)
    write(replica_set)
    preference = SecondaryPreferred(max_staleness=90)
    assert selector.select(preference).name == "secondary-1"
    replica_set.clock.advance(20_000_000)
    write(replica_set)
    assert selector.select(preference).name == "secondary-2"


def test_max_staleness_does_not_leave_out_a_member_that_misses_nothing():
    replica_set, selector = selector_of("inf,0")
    write(replica_set)
    replica_set.catch_up(["secondary-1"])
    replica_set.clock.advance(10_000_000_000)
    assert len(selector.eligible(Secondary(max_staleness=90))) == 2


def test_a_max_staleness_that_drivers_do_not_allow_is_refused():
    _, selector = selector_of("0,0")
    with pytest.raises(ConfigurationError, match="maxStalenessSeconds"):
        selector.select(Secondary(max_staleness=1))


def test_the_one_that_lags_most_serves_a_stream():
    replica_set, selector = selector_of("0,200ms,1s")
    assert selector.select(Secondary()).name == "secondary-1"
    assert selector.select(Secondary(), for_stream=True).name == "secondary-3"
    assert selector.select(Primary(), for_stream=True).is_primary
    replica_set.pause(["secondary-1"])
    assert selector.select(Secondary(), for_stream=True).name == "secondary-1"


def test_a_stream_follows_the_rule_that_was_chosen():
    _, selector = selector_of("0,200ms", Choose.ALTERNATE)
    names = [selector.select(Secondary(), for_stream=True).name for _ in range(3)]
    assert names == ["secondary-1", "secondary-2", "secondary-1"]
