import pytest
from forum import comments


@pytest.mark.replica_lag
def test_comments_do_not_vanish_when_the_page_is_loaded_again(client):
    comments.add(client, "summer", "nice!")
    with comments.visit(client) as visit:
        first = comments.count(client, "summer", visit)
        assert comments.count(client, "summer", visit) >= first
