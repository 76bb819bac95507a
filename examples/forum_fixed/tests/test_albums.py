import pytest
from forum import albums


@pytest.mark.replica_lag
def test_an_album_is_shown_whole_or_not_yet(client):
    albums.publish(client, "summer", ["beach", "boat"])
    assert albums.page(client, "summer") in ("not yet", "summer: 2 of 2 pictures")
