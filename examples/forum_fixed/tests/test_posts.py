import pytest
from forum import posts


@pytest.mark.replica_lag
def test_every_post_has_an_author(client):
    posts.sign_up_and_post(client, "ada", "hello")
    assert posts.front_page(client) in ([], ["Ada: hello"])
