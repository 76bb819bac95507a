"""APScheduler's MongoDB job store.

It reads with its client's read preference, which is primary unless the URI says otherwise: as
APScheduler is documented, no read is stale. With a client that prefers secondaries one is.
"""

from datetime import datetime, timedelta, timezone

import pytest
from applications import TEST

pytest.importorskip("apscheduler")

from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from apscheduler.jobstores.mongodb import MongoDBJobStore
from apscheduler.schedulers.background import BackgroundScheduler

APP = """
from apscheduler.jobstores.mongodb import MongoDBJobStore
from apscheduler.schedulers.background import BackgroundScheduler


def deliver(): ...


def finds_its_order(uri, number):
    scheduler = BackgroundScheduler(jobstores={"default": MongoDBJobStore(host=OPTIONS)})
    scheduler.start(paused=True)
    try:
        place_order(scheduler, number)
        return find_order(scheduler, number) is not None
    finally:
        scheduler.shutdown()


def place_order(scheduler, number):
    scheduler.add_job(deliver, "interval", hours=1, id=str(number))  # write


def find_order(scheduler, number):
    return scheduler.get_job(str(number))  # read
"""

LATER = datetime(2100, 1, 1, tzinfo=timezone.utc)


def deliver(): ...


@pytest.fixture
def scheduler(uri, database):
    store = MongoDBJobStore(database=database, host=uri)
    scheduler = BackgroundScheduler(jobstores={"default": store}, timezone=timezone.utc)
    scheduler.start(paused=True)
    yield scheduler
    scheduler.shutdown()


def test_jobs(scheduler):
    scheduler.add_job(deliver, "date", run_date=LATER, id="late")
    scheduler.add_job(deliver, "date", run_date=LATER - timedelta(days=1), id="early")
    assert [job.id for job in scheduler.get_jobs()] == ["early", "late"]
    with pytest.raises(ConflictingIdError):
        scheduler.add_job(deliver, "date", run_date=LATER, id="late")
    scheduler.reschedule_job("late", trigger="date", run_date=LATER - timedelta(days=2))
    assert [job.id for job in scheduler.get_jobs()] == ["late", "early"]
    scheduler.pause_job("late")
    assert scheduler.get_job("late").next_run_time is None
    scheduler.remove_job("late")
    with pytest.raises(JobLookupError):
        scheduler.remove_job("late")


def test_jobs_that_are_due(scheduler):
    store = scheduler._lookup_jobstore("default")
    scheduler.add_job(deliver, "date", run_date=LATER, id="late")
    assert store.get_due_jobs(LATER - timedelta(seconds=1)) == []
    assert [job.id for job in store.get_due_jobs(LATER)] == ["late"]
    assert store.get_next_run_time() == LATER


def test_it_reads_from_the_primary_and_no_read_is_stale(application):
    # The URI of the test's parameter prefers secondaries; the documented one does not.
    application.file("app.py", APP.replace("OPTIONS", "uri.partition('&')[0]"))
    application.file("test_app.py", TEST)
    result = application.run("--replica-lag=200ms")
    result.assert_outcomes(passed=2)
    assert "stale read" not in result.stdout.str().lower()


def test_a_client_that_prefers_secondaries_makes_a_stale_read(application):
    found = application.reports(APP.replace("OPTIONS", "uri"))[-1]
    assert found.read.startswith("apscheduler.jobs.find_one(")
    assert found.read_at == f"{application.site('read')} in find_order"
    assert found.missed[0].startswith('insert_one({"_id": "7"')
    assert found.missed_at == (f"{application.site('write')} in place_order",)
