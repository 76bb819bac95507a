"""Flask-Session, which keeps the sessions of a Flask application in MongoDB.

It loads and saves a session before and after the application's own function, so the call site of
both is the line that made the request: in a test, one of the test's own lines.
"""

import pytest

flask = pytest.importorskip("flask")
flask_session = pytest.importorskip("flask_session")

import pymongo

# Flask-Session asks for the time with datetime.utcnow().
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

APP = """
import flask
from flask_session import Session


def create_app(client):
    app = flask.Flask(__name__)
    app.config.update(SESSION_TYPE="mongodb", SESSION_MONGODB=client, SESSION_MONGODB_DB="web")
    Session(app)

    @app.post("/login/<name>")
    def login(name):
        flask.session["name"] = name
        return "welcome"

    @app.get("/who")
    def who():
        return flask.session.get("name", "a stranger")

    return app
"""

TEST_APP = """
import pymongo
import pytest
from app import create_app


@pytest.fixture
def browser(replica_lag_uri):
    with pymongo.MongoClient(replica_lag_uri + "&readPreference=secondaryPreferred") as client:
        yield create_app(client).test_client()


def log_in(browser):
    browser.post("/login/ada")  # write
    return browser.get("/who").text  # read


def test_without_lag(browser):
    assert log_in(browser) == "ada"


@pytest.mark.replica_lag
def test_with_lag(browser):
    assert log_in(browser) == "ada"
"""


def test_everyday_use(uri, database):
    with pymongo.MongoClient(uri) as client:
        app = flask.Flask(__name__)
        app.config.update(
            SESSION_TYPE="mongodb", SESSION_MONGODB=client, SESSION_MONGODB_DB=database
        )
        flask_session.Session(app)

        @app.get("/visit")
        def visit():
            flask.session["visits"] = flask.session.get("visits", 0) + 1
            return str(flask.session["visits"])

        @app.get("/leave")
        def leave():
            flask.session.clear()
            return "bye"

        browser = app.test_client()
        assert [browser.get("/visit").text for _ in range(3)] == ["1", "2", "3"]
        assert app.test_client().get("/visit").text == "1"
        assert client[database].sessions.count_documents({}) == 2
        browser.get("/leave")
        assert client[database].sessions.count_documents({}) == 1
        assert browser.get("/visit").text == "1"


def test_a_lost_session_is_reported_with_the_lines_of_both_requests(application):
    application.file("app.py", APP)
    application.file("test_app.py", TEST_APP)
    found = application.stale_reads("-W", "ignore::DeprecationWarning")[0]
    assert found.read.startswith('web.sessions.find_one({"id": "session:')
    assert found.read_at == f"{application.site('read', 'test_app.py')} in log_in"
    assert found.missed[0].startswith("update_one(")
    assert found.missed_at == (f"{application.site('write', 'test_app.py')} in log_in",)
