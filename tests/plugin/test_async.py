"""Async tests: a wrapped client works in them, and `asyncio.sleep` moves virtual time."""

import pytest

BODY = """
import asyncio
import time
from asyncio import sleep as nap

import pytest
MORE

@pytest.fixture
ASYNC_FIXTURE
async def orders(db):
    await asyncio.sleep(0)
    db.orders.insert_one({"_id": "old"})
    yield db.orders


@pytest.mark.replica_lag("20ms")
MARK
async def test_sleeping(orders, replica_lag):
    orders.insert_one({"_id": 7})
    assert orders.count_documents({}) == 1
    since = time.monotonic()
    await asyncio.sleep(0.02)
    assert time.monotonic() - since >= 0.019
    assert orders.count_documents({}) == 2
    assert str(replica_lag.now()) == "23ms"
    assert len(replica_lag.stale_reads) == 1


@pytest.mark.replica_lag("1s")
MARK
async def test_imported_by_name(replica_lag):
    assert await nap(0.01, "slept") == "slept"
    assert str(replica_lag.now()) == "10ms"
    await nap(0)
    await asyncio.sleep(delay=0.01, result=None)
    assert str(replica_lag.now()) == "20ms"
    assert asyncio.iscoroutinefunction(asyncio.sleep)


@pytest.mark.replica_lag("1s")
MARK
async def test_sleeps_at_the_same_time_overlap(replica_lag):
    await asyncio.gather(asyncio.sleep(0.01), asyncio.sleep(0.02), asyncio.sleep(0.01))
    assert str(replica_lag.now()) == "20ms"


@pytest.mark.replica_lag("1s")
MARK
async def test_a_cancelled_sleep_does_not_count(replica_lag):
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.sleep(60), timeout=0.01)
    assert str(replica_lag.now()) == "0ms"


@pytest.mark.replica_lag("1s", on_stale="fail")
MARK
async def test_stale(orders):
    orders.insert_one({"_id": 7})
    orders.find_one({"_id": 7})
"""


def check(project, body, *, plugins):
    project.file("test_it", body)
    # Apart, for some plugins leave an event loop open.
    result = project.run_apart(plugins=plugins)
    result.assert_outcomes(passed=4, failed=1)
    message = "the test passed, but made a stale read (see section “replica lag”; on_stale=fail)"
    assert message in result.outlines


def test_with_pytest_asyncio(project):
    pytest.importorskip("pytest_asyncio")
    body = BODY.replace("MORE", "import pytest_asyncio").replace("MARK", "@pytest.mark.asyncio")
    body = body.replace("@pytest.fixture\nASYNC_FIXTURE", "@pytest_asyncio.fixture")
    project.ini("asyncio_default_fixture_loop_scope = function")
    check(project, body, plugins=("pytest_asyncio.plugin",))


def test_with_anyio(project):
    pytest.importorskip("anyio")
    body = BODY.replace("MORE", "").replace("MARK", "@pytest.mark.anyio")
    body = body.replace("ASYNC_FIXTURE\n", "")
    body += "\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    check(project, body, plugins=("anyio.pytest_plugin",))


def test_anyios_own_sleep_counts(project):
    pytest.importorskip("anyio")
    project.file(
        "test_it",
        """
        import anyio
        import pytest
        from anyio import sleep

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        @pytest.mark.replica_lag("1s")
        async def test_it(replica_lag):
            await anyio.sleep(0.01)
            assert str(replica_lag.now()) == "10ms"
            await sleep(0.01)
            assert str(replica_lag.now()) == "20ms"
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 0.01)
                group.start_soon(anyio.sleep, 0.01)
            assert str(replica_lag.now()) == "30ms"
        """,
    )
    project.run_apart(plugins=("anyio.pytest_plugin",)).assert_outcomes(passed=1)


def test_a_named_async_fixture_is_wrapped(project):
    pytest.importorskip("pytest_asyncio")
    project.ini("replica_lag_fixtures = mongo", "asyncio_default_fixture_loop_scope = function")
    project.file(
        "test_it",
        """
        import mongomock
        import pytest
        import pytest_asyncio
        from pymongo import ReadPreference

        @pytest_asyncio.fixture
        async def mongo():
            yield mongomock.MongoClient(read_preference=ReadPreference.SECONDARY)

        @pytest.mark.asyncio
        @pytest.mark.replica_lag("1s")
        async def test_it(mongo):
            mongo.shop.orders.insert_one({"_id": 7})
            assert mongo.shop.orders.find_one() is None
        """,
    )
    project.run_apart(plugins=("pytest_asyncio.plugin",)).assert_outcomes(passed=1)
