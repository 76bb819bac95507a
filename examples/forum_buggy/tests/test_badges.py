import pytest
from forum import badges


@pytest.mark.replica_lag(elections=True)
def test_a_badge_that_was_announced_is_shown(client):
    assert badges.award(client, "ada", "helpful").startswith("Ada")
    assert badges.shown(client, "ada") == ["helpful"]
