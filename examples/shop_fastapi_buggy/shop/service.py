"""The shop as a web service."""

from fastapi import FastAPI

from shop import accounts, carts, orders


def create_app(db):
    """The service on a database of an asynchronous client."""
    app = FastAPI()
    app.state.db = db
    for part in (accounts, carts, orders):
        app.include_router(part.router)
    return app
