"""What is told of clients in other processes."""

import pytest

from pytest_replicalag.fronts.wire.callers import client_of


@pytest.mark.parametrize(
    ("name", "version", "told"),
    [
        ("nodejs", "6.20.0", "nodejs 6.20.0"),
        ("PyMongo|c", "4.20.0|", "PyMongo 4.20.0"),
        ("nodejs|Mongoose", "6.20.0|8.3.1", "nodejs 6.20.0 with Mongoose 8.3.1"),
        ("PyMongo|c|async|Beanie", "4.20.0|||2.0.1", "PyMongo 4.20.0 with Beanie 2.0.1"),
        ("mongo-go-driver", "", "mongo-go-driver"),
        ("", "", "a client that did not introduce itself"),
    ],
)
def test_driver_and_what_is_built_on_it(name, version, told):
    handshake = {"driver": {"name": name, "version": version}}
    assert str(client_of(handshake, None)) == told


def test_application_and_comment():
    handshake = {"driver": {"name": "nodejs", "version": "6.20.0"}, "application": {"name": "shop"}}
    told = 'nodejs 6.20.0, application "shop", comment "checkout"'
    assert str(client_of(handshake, "checkout")) == told
