"""`--replica-lag-explore`: the schedule that breaks a test is searched, made small and told."""

import json
import re
import shlex
import textwrap

import pytest

from pytest_replicalag.explore.schedule import Schedule

VIEWS = """
    import pytest

    @pytest.mark.replica_lag
    def test_views(db):
        db.carts.insert_one({"_id": 1})
        first = db.carts.find_one({"_id": 1})
        second = db.carts.find_one({"_id": 1})
        assert not (first and not second)
"""

FINE = """
    import pytest

    @pytest.mark.replica_lag
    def test_fine(db):
        db.carts.insert_one({"_id": 1})
        db.carts.find_one({"_id": 1})
        db.carts.find_one({"_id": 1})
"""


def schedule_section(result):
    """The lines of the section of the minimal schedule."""
    lines = result.outlines
    start = next(i for i, line in enumerate(lines) if "- replica lag: minimal schedule -" in line)
    end = next(i for i in range(start + 1, len(lines)) if re.match(r"[-=_]{3}", lines[i]))
    return lines[start + 1 : end]


def schedule_of(result):
    return schedule_section(result)[-1].rpartition("--replica-lag-schedule=")[2]


def test_it_finds_what_a_fixed_lag_does_not_show(project, summary):
    project.file("test_it", VIEWS)
    project.run("--replica-lag=1s").assert_outcomes(passed=1)
    result = project.run("--replica-lag-explore=100")
    result.assert_outcomes(failed=1)
    *lines, tried, replay = schedule_section(result)
    assert lines == [
        'fails when  read 2  shop.carts.find_one({"_id": 1})   test_it.py:7 in test_views',
        "            is served by secondary-2 without",
        '              insert_one({"_id": 1})                  test_it.py:5 in test_views',
    ]
    # How many depends on Hypothesis's version.
    assert re.fullmatch(r"All other reads may be fresh\. \d+ schedules tried\.", tried)
    assert re.fullmatch(
        r"reproduce   pytest test_it.py::test_views --replica-lag-schedule=[\w-]+", replay
    )
    [*_, last] = summary(result)
    assert last.startswith("test_it.py::test_views: fails by a schedule, found after ")


@pytest.mark.slow
def test_the_same_run_gives_the_same_report(project):
    project.file("test_it", VIEWS)
    first = project.run("--replica-lag-explore=100")
    again = project.run_apart("--replica-lag-explore=100")
    assert schedule_section(again) == schedule_section(first)


@pytest.mark.slow
def test_a_printed_schedule_fails_again_and_the_fresh_one_passes(project, summary):
    project.file("test_it", VIEWS)
    schedule = schedule_of(project.run("--replica-lag-explore=100"))
    for run in (project.run, project.run_apart):
        result = run(f"--replica-lag-schedule={schedule}")
        result.assert_outcomes(failed=1)
        assert schedule_of(result) == schedule
        assert summary(result)[-1] == "test_it.py::test_views: fails by the schedule"
    passing = project.run("--replica-lag-schedule=AQAjvg")
    passing.assert_outcomes(passed=1)
    assert summary(passing)[-1] == "test_it.py::test_views: passes by the schedule"


def test_an_exhausted_space_is_told(project, summary):
    project.file("test_it", FINE)
    result = project.run("--replica-lag-explore=100")
    result.assert_outcomes(passed=1)
    assert summary(result) == [
        "test_it.py::test_fine: all 6 schedules pass: no replication schedule of this",
        "    kind breaks this test",
    ]


def test_a_space_that_is_not_exhausted_is_told(project, summary):
    project.file("test_it", FINE)
    assert summary(project.run("--replica-lag-explore=3")) == [
        "test_it.py::test_fine: 3 schedules passed; there are more to try"
    ]


def test_a_test_without_reads_has_one_schedule(project, summary):
    project.file("test_it", "import pytest\n@pytest.mark.replica_lag\ndef test_it(db): pass\n")
    assert summary(project.run("--replica-lag-explore=9"))[-2:] == [
        "test_it.py::test_it: no read can miss a write: there is one schedule, and it",
        "    passes",
    ]


def test_the_marker_says_it_too_and_wins(project, summary):
    project.file("test_it", VIEWS.replace("replica_lag", "replica_lag(explore=50)"))
    project.run().assert_outcomes(failed=1)
    project.file("test_it", VIEWS.replace("replica_lag", "replica_lag(explore=0)"))
    project.run("--replica-lag-explore=50", "--replica-lag=1s").assert_outcomes(passed=1)


def test_off_switches_it_off(project):
    project.file("test_it", VIEWS)
    project.run("--replica-lag-explore=50", "--replica-lag=off").assert_outcomes(passed=1)


def test_a_lag_is_the_longest_that_a_secondary_takes(project):
    sleeping = VIEWS.replace("first =", "replica_lag.advance('300ms')\n        first =")
    project.file("test_it", sleeping.replace("(db)", "(db, replica_lag)"))
    project.run("--replica-lag=200ms", "--replica-lag-explore=100").assert_outcomes(passed=1)
    project.run("--replica-lag=400ms", "--replica-lag-explore=100").assert_outcomes(failed=1)


def test_a_majority_has_what_a_majority_has_acknowledged(project, summary):
    project.file(
        "test_it",
        """
        import pytest
        from pymongo import ReadPreference
        from pymongo.read_preferences import Secondary

        def at(db, member):
            return db.get_collection("c", read_preference=Secondary([{"member": member}]))

        @pytest.mark.replica_lag
        def test_majority(db):
            db.c.insert_one({"_id": 1})
            seen = [at(db, f"secondary-{n}").find_one({"_id": 1}) for n in (1, 2)]
            assert any(seen)

        @pytest.mark.replica_lag(write_concern=1)
        def test_one(db):
            db.c.insert_one({"_id": 1})
            seen = [at(db, f"secondary-{n}").find_one({"_id": 1}) for n in (1, 2)]
            assert any(seen)

        @pytest.mark.replica_lag(write_concern=3)
        def test_all(db):
            db.c.insert_one({"_id": 1})
            assert at(db, "secondary-1").find_one({"_id": 1})
        """,
    )
    result = project.run("--replica-lag-explore=100")
    result.assert_outcomes(passed=2, failed=1)
    assert "is served by secondary-2 without" in result.stdout.str()


def test_a_causally_consistent_session_holds_under_all_schedules(project, summary):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag
        def test_session(client):
            with client.start_session(causal_consistency=True) as session:
                client.shop.c.insert_one({"_id": 1}, session=session)
                client.shop.c.update_one({"_id": 1}, {"$set": {"x": 1}}, session=session)
                for _ in range(3):
                    assert client.shop.c.find_one({"_id": 1}, session=session)["x"] == 1
        """,
    )
    result = project.run("--replica-lag-explore=100")
    result.assert_outcomes(passed=1)


def test_members_that_are_named_are_told_apart(project):
    project.file(
        "test_it",
        """
        import pytest
        from pymongo.read_preferences import Secondary

        @pytest.mark.replica_lag(write_concern=1)
        def test_it(db):
            db.c.insert_one({"_id": 1})
            first = db.c.find_one({"_id": 1})
            named = db.get_collection("c", read_preference=Secondary([{"member": "secondary-1"}]))
            assert not (first and not named.find_one({"_id": 1}))
        """,
    )
    result = project.run("--replica-lag-explore=100")
    result.assert_outcomes(failed=1)
    assert schedule_section(result)[1].strip() == "is served by secondary-1 without"


def test_paused_members_and_those_that_catch_up(project):
    project.file(
        "test_it",
        """
        import pytest
        from pymongo import WriteConcern
        from pytest_replicalag.errors import EndlessWaitError

        @pytest.mark.replica_lag(secondaries=1, write_concern=1)
        def test_it(db, replica_lag):
            db.c.insert_one({"_id": 1})
            replica_lag.pause()
            db.c.insert_one({"_id": 2})
            assert db.c.find_one({"_id": 2}) is None
            with pytest.raises(EndlessWaitError):
                db.get_collection("d", write_concern=WriteConcern(2)).insert_one({})
            replica_lag.catch_up()
            assert db.c.find_one({"_id": 2})
            replica_lag.resume()
        """,
    )
    project.run("--replica-lag-explore=100").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "what",
    [
        "skip('no')",
        "xfail('no')",
        "fail('yes')",
    ],
)
def test_a_test_that_says_its_outcome_itself(project, what):
    project.file(
        "test_it",
        f"""
        import pytest

        @pytest.mark.replica_lag
        def test_it(db):
            pytest.{what}
        """,
    )
    result = project.run("--replica-lag-explore=9")
    outcome = {"skip": "skipped", "xfail": "xfailed", "fail": "failed"}[what.partition("(")[0]]
    result.assert_outcomes(**{outcome: 1})


def test_a_failure_that_is_expected_is_one_under_schedules(project):
    mark = "    @pytest.mark.replica_lag"
    project.file("test_it", VIEWS.replace(mark, f"    @pytest.mark.xfail(strict=True)\n{mark}"))
    project.run("--replica-lag-explore=100").assert_outcomes(xfailed=1)


def test_a_test_that_cannot_run_twice_is_told(project, summary):
    project.file(
        "test_it",
        """
        import pytest

        runs = []

        @pytest.mark.replica_lag
        def test_it(db):
            runs.append(1)
            assert len(runs) == 1
        """,
    )
    result = project.run("--replica-lag-explore=9")
    result.assert_outcomes(failed=1)
    assert " ".join(line.strip() for line in summary(result)[-2:]) == (
        "test_it.py::test_it: not explored: it passes once and fails when it runs again; let a "
        "function-scoped fixture undo what it does"
    )


def test_a_test_that_does_as_it_likes_is_told(project, summary):
    project.file(
        "test_it",
        """
        import itertools
        import pytest

        number = itertools.count()

        @pytest.mark.replica_lag
        def test_it(db):
            db.c.insert_one({"_id": 1})
            for _ in range(next(number) % 3):
                db.c.find_one({"_id": 1})
        """,
    )
    said = " ".join(summary(project.run("--replica-lag-explore=50")))
    assert "does not do the same each time" in said


def test_a_subtest_that_fails_is_a_failure(project, summary):
    project.file(
        "test_it",
        """
        import unittest
        import mongomock
        import pytest
        from pymongo import ReadPreference
        from pytest_replicalag import wrap

        @pytest.mark.replica_lag
        class TestIt(unittest.TestCase):
            def test_it(self):
                client = wrap(mongomock.MongoClient(read_preference=ReadPreference.SECONDARY))
                with self.subTest():
                    client.shop.c.insert_one({"_id": 1})
                    assert client.shop.c.find_one({"_id": 1})
        """,
    )
    result = project.run("--replica-lag-explore=50")
    assert result.ret == 1
    assert "test_it.py::TestIt::test_it: fails by a schedule" in " ".join(summary(result))
    # In the summary; before pytest 9 the subtest's failure is the test's own, and has the section.
    [command] = [line for line in result.outlines if "reproduce   pytest " in line]
    again = project.run(*shlex.split(command)[2:])
    assert again.ret == 1
    assert "test_it.py::TestIt::test_it: fails by the schedule" in summary(again)


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest 9 brings the fixture subtests")
def test_where_no_section_can_be_the_summary_has_the_command(project, summary):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag
        def test_parts(db, subtests):
            db.c.insert_one({"_id": 1})
            with subtests.test():
                assert db.c.find_one({"_id": 1})

        @pytest.mark.replica_lag
        @pytest.mark.xfail
        def test_expected(db):
            db.c.insert_one({"_id": 1})
            assert db.c.find_one({"_id": 1})

        @pytest.mark.replica_lag
        def test_whole(db):
            db.c.insert_one({"_id": 1})
            assert db.c.find_one({"_id": 1})
        """,
    )
    lines = summary(project.run("--replica-lag-explore=50"))
    told = [line.partition(" --replica-lag-schedule=")[0] for line in lines[-5:]]
    assert told == [
        "test_it.py::test_parts: fails by a schedule, found after 2 schedules",
        "    reproduce   pytest test_it.py::test_parts",
        "test_it.py::test_expected: fails by a schedule, found after 2 schedules",
        "    reproduce   pytest test_it.py::test_expected",
        "test_it.py::test_whole: fails by a schedule, found after 2 schedules",
    ]


def test_schedules_by_which_a_test_skips_itself_prove_nothing(project, summary):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag
        def test_it(db):
            db.c.insert_one({"_id": 1})
            if not db.c.find_one():
                pytest.skip("not there yet")
        """,
    )
    result = project.run("--replica-lag-explore=50")
    assert " ".join(line.strip() for line in summary(result)).endswith(
        "2 schedules tried; by 1 of them it skips itself, which proves nothing"
    )


def test_a_failure_that_the_same_schedule_does_not_show_again_is_not_lost(project, summary):
    project.file(
        "test_it",
        """
        import itertools
        import pytest

        number = itertools.count()

        @pytest.mark.replica_lag
        def test_it(db):
            db.c.insert_one({"_id": 1})
            assert db.c.find_one({"_id": 1}) or next(number)
        """,
    )
    result = project.run("--replica-lag-explore=50")
    result.assert_outcomes(failed=1)
    assert "Run again by the same schedule, the test did otherwise" in result.stdout.str()
    assert summary(result)[-1].startswith("test_it.py::test_it: fails by a schedule")


def test_fixtures_that_fail_in_a_later_run_are_no_schedule_that_fails(project, summary):
    project.file(
        "test_it",
        """
        import pytest

        runs = []

        @pytest.fixture
        def unrepeatable():
            runs.append(1)
            assert len(runs) != 4

        @pytest.mark.replica_lag
        def test_it(unrepeatable, db):
            db.c.insert_one({"_id": 1})
            db.c.find_one({"_id": 1})
        """,
    )
    result = project.run("--replica-lag-explore=50")
    assert "fails by a schedule" not in result.stdout.str()
    assert "not explored: it passes once and fails when it runs again" in " ".join(summary(result))


@pytest.mark.parametrize(("choices", "left"), [([0, 0, 1], "1 choice"), ([1] * 6, "4 choices")])
def test_a_schedule_that_the_test_does_not_come_to_the_end_of_is_told(
    project, summary, choices, left
):
    project.file("test_it", FINE)
    result = project.run(f"--replica-lag-schedule={Schedule.of(choices)}")
    assert " ".join(line.strip() for line in summary(result)).endswith(
        f"test_it.py::test_fine: passes, but has not come to the last {left} of the schedule: it "
        "is another test's, or the test has changed; explore again"
    )


def test_nobody_waits_for_ever_for_a_task_that_reads(project):
    project.file(
        "test_it",
        """
        import asyncio
        import pytest

        @pytest.mark.replica_lag
        def test_it(db):
            async def main():
                done = asyncio.Event()

                async def work():
                    for number in range(4):
                        db.c.insert_one({"_id": number})
                        db.c.find_one({"_id": number})
                    done.set()

                task = asyncio.create_task(work())
                await done.wait()
                await task

            asyncio.run(main())
            assert db.c.count_documents({}) == 4
        """,
    )
    result = project.run_apart("--replica-lag-explore=50")
    result.assert_outcomes(failed=1)
    assert "StopTest" not in result.stdout.str()


def test_classes_parameters_and_fixtures(project):
    project.file(
        "test_it",
        """
        import pytest

        began = []

        @pytest.fixture(scope="class")
        def wide():
            began.append("wide")
            yield
            began.append("wide ended")

        @pytest.fixture
        def narrow():
            began.append("narrow")

        @pytest.mark.replica_lag(explore=30)
        class TestIt:
            @pytest.mark.parametrize("number", [1, 2])
            def test_it(self, db, wide, narrow, number):
                db.c.insert_one({"_id": number})
                assert number == 1 or db.c.find_one({"_id": number})

        def test_once():
            assert began.count("wide") == began.count("wide ended") == 1
            assert began.count("narrow") > 4
        """,
    )
    result = project.run("-v")
    result.assert_outcomes(passed=2, failed=1)
    assert result.stdout.str().count("test_it.py::TestIt::test_it[1] PASSED") == 1


@pytest.mark.slow
def test_with_xdist(project, summary):
    pytest.importorskip("xdist")
    project.file("test_it", VIEWS)
    alone = project.run("--replica-lag-explore=100")
    spread = project.run_apart("--replica-lag-explore=100", "-n2", plugins=("xdist",))
    assert schedule_section(spread) == schedule_section(alone)
    assert summary(spread) == summary(alone)


@pytest.mark.slow
def test_with_asyncio(project):
    pytest.importorskip("pytest_asyncio")
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.asyncio
        @pytest.mark.replica_lag
        async def test_it(db):
            db.c.insert_one({"_id": 1})
            assert db.c.find_one({"_id": 1})
        """,
    )
    result = project.run_apart("--replica-lag-explore=100", plugins=("pytest_asyncio.plugin",))
    result.assert_outcomes(failed=1)
    assert schedule_section(result)


@pytest.mark.slow
def test_the_debugger_stops_once(project):
    project.file("test_it", VIEWS)
    result = project.pytester.run(
        *project.pytester._getpytestargs(),
        *("-p", "pytest_replicalag.plugin", "-p", "no:cacheprovider"),
        *("--pdb", "--replica-lag-explore=100"),
        stdin=b"p first\nq\n",
    )
    assert result.stdout.str().count("entering PDB") == 1


def test_last_failed_knows_it(project):
    project.file("test_it", VIEWS + FINE.replace("import pytest", ""))
    arguments = ("-p", "pytest_replicalag.plugin", "--replica-lag-explore=100")
    project.pytester.runpytest_inprocess(*arguments).assert_outcomes(passed=1, failed=1)
    again = project.pytester.runpytest_inprocess(*arguments, "--lf")
    again.assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("--replica-lag-explore=many", "'many' is not a whole number; write one, such as 100"),
        ("--replica-lag-explore=-1", "-1 schedules cannot be tried; write a number from 1"),
        ("--replica-lag-schedule=nonsense", "'nonsense' is not a schedule; copy the whole of one"),
    ],
)
def test_bad_values_are_refused(project, option, problem):
    project.file("test_it", VIEWS)
    assert problem in project.refused(option)


def test_a_real_clock_is_refused(project):
    project.file("test_it", VIEWS)
    refusal = project.refused("--replica-lag-explore=9", "--replica-lag-clock=wall")
    assert refusal == (
        "--replica-lag-explore: schedules need simulated time; leave out the clock wall, or "
        "exploring"
    )


def test_a_schedule_of_another_test_is_refused(project):
    project.file("test_it", FINE)
    result = project.run(f"--replica-lag-schedule={Schedule.of([5])}")
    result.assert_outcomes(failed=1)
    assert "takes option 6 at choice 1, where this run has 2; explore again" in result.stdout.str()


PROPERTY = """
    import mongomock
    import pytest
    from hypothesis import given, settings, strategies as st
    from pytest_replicalag import wrap

    @pytest.mark.replica_lag(read_preference="secondaryPreferred")
    @given(st.integers(0, 100))
    @settings(database=None, max_examples=300, deadline=None)
    def test_views(number):
        db = wrap(mongomock.MongoClient()).shop
        db.carts.insert_one({"_id": number})
        first = db.carts.find_one({"_id": number})
        second = db.carts.find_one({"_id": number})
        assert number < 10 or not (first and not second)
"""


@pytest.mark.slow
def test_a_property_test_draws_a_schedule_with_each_example(project, section):
    project.file("test_it", PROPERTY)
    project.run("--replica-lag=1s").assert_outcomes(passed=1)
    result = project.run("--replica-lag-explore=1")
    result.assert_outcomes(failed=1)
    assert "number=10" in result.stdout.str()
    assert section(result)[0].startswith('stale read  shop.carts.find_one({"_id": 10}) returned')


@pytest.mark.slow
def test_an_asynchronous_property_test(project):
    pytest.importorskip("pytest_asyncio")
    body = PROPERTY.replace("    def test", "    async def test")
    body = body.replace("@given", "@pytest.mark.asyncio\n    @given")
    project.ini("asyncio_default_fixture_loop_scope = function")
    project.file("test_it", body)
    result = project.run_apart("--replica-lag-explore=1", plugins=("pytest_asyncio.plugin",))
    result.assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("test", "schedule"), [(VIEWS, r"schedule=\S+"), (FINE, "explore=100 --replica-lag-seed=3")]
)
def test_the_command_in_a_report_runs_the_test_in_the_same_way(project, test, schedule):
    project.file("test_it", test)
    options = ("--replica-lag-explore=100", "--replica-lag-seed=3")
    project.run(*options, "--replica-lag-report=lag.json")
    [told] = json.loads((project.path / "lag.json").read_text())["tests"]
    assert re.fullmatch(rf"pytest \S+ --replica-lag-{schedule}", told["replay"])
    again = project.run(*shlex.split(told["replay"])[1:])
    assert again.ret == (1 if told["exploration"]["failing_schedule"] else 0)
    assert again.parseoutcomes() == {told["outcome"]: 1}


@pytest.mark.slow
def test_the_command_for_a_property_test_explores_it(project):
    project.file("test_it", PROPERTY)
    result = project.run("--replica-lag-explore=1")
    [replay] = [line for line in result.outlines if line.startswith("replay")]
    assert replay.endswith("test_it.py::test_views --replica-lag-explore=1 --replica-lag-seed=0")


MACHINE = """
    import mongomock
    from hypothesis import settings
    from hypothesis.stateful import RuleBasedStateMachine, rule
    from pytest_replicalag import wrap
    from pytest_replicalag.strategies import OnReplicaSet

    class Machine(OnReplicaSet, RuleBasedStateMachine):
        replica_lag_words = {"read_preference": "secondary"}

        @rule()
        def add(self):
            orders = wrap(mongomock.MongoClient()).shop.orders
            orders.insert_one({"_id": 7})
            assert orders.count_documents({}) == 1

    Machine.TestCase.settings = settings(max_examples=50, database=None, deadline=None)
    TestMachine = Machine.TestCase
"""


@pytest.mark.slow
def test_a_state_machine_that_fails_tells_what_its_reads_have_missed(project):
    project.file("test_it", MACHINE)
    result = project.run_apart()
    result.assert_outcomes(failed=1)
    [told] = [line for line in result.outlines if "replica lag: " in line]
    assert "shop.orders.count_documents({}) on secondary-" in told
    assert told.endswith(' returned 0; missed insert_one({"_id": 7})')


def test_a_property_test_takes_no_schedule(project):
    project.file("test_it", PROPERTY)
    result = project.run(f"--replica-lag-schedule={Schedule.of([1])}")
    result.assert_outcomes(failed=1)
    assert "reproduce it by Hypothesis's own means" in result.stdout.str()


ON_THE_WIRE = """
    import pymongo
    import pytest

    @pytest.fixture(scope="session")
    def client(replica_lag_uri):
        with pymongo.MongoClient(replica_lag_uri, readPreference="secondaryPreferred") as client:
            yield client

    @pytest.fixture
    def db(client):
        client.shop.carts.delete_many({})
        return client.shop
"""


def test_a_driver_on_the_wire(project):
    project.pytester.makeconftest(textwrap.dedent(ON_THE_WIRE))
    project.file("test_it", VIEWS + FINE.replace("import pytest", ""))
    result = project.run("--replica-lag-explore=100")
    result.assert_outcomes(failed=1, passed=1)
    assert "is served by secondary-2 without" in result.stdout.str()
    assert "all 6 schedules pass" in result.stdout.str()


NEW_COLLECTION = """
    import pytest

    @pytest.mark.replica_lag
    def test_it(db):
        db.{name}.insert_many([{{"_id": 1}}, {{"_id": 2}}])
        assert db.{name}.count_documents({{}}) {expected}
"""


def test_no_read_of_documents_can_tell_whether_its_collection_is_there_yet(project):
    """On the wire, its creation is in the oplog."""
    project.pytester.makeconftest(textwrap.dedent(ON_THE_WIRE))
    project.file("test_it", NEW_COLLECTION.format(name="young", expected="<= 2"))
    result = project.run("--replica-lag-explore=100")
    assert "all 3 schedules pass" in result.stdout.str()


def test_a_collection_that_is_there_is_no_part_of_what_is_written_into_it(project):
    project.pytester.makeconftest(textwrap.dedent(ON_THE_WIRE))
    project.file("test_it", NEW_COLLECTION.format(name="new", expected="> 0"))
    result = project.run("--replica-lag-explore=100")
    result.assert_outcomes(failed=1)
    assert "in part" not in result.stdout.str()


@pytest.mark.slow
def test_a_schedule_fails_a_hundred_times_of_a_hundred_in_another_process(project):
    project.file("test_it", VIEWS)
    schedule = schedule_of(project.run("--replica-lag-explore=100"))
    mark = "@pytest.mark.parametrize('time', range(100))\n    @pytest.mark.replica_lag"
    body = VIEWS.replace("@pytest.mark.replica_lag", mark).replace("(db)", "(db, time)")
    project.file("test_it", body)
    result = project.run_apart(f"--replica-lag-schedule={schedule}", "-q")
    result.assert_outcomes(failed=100)


# -- what outlives a run -------------------------------------------------------------------------

CACHED = """
    import functools
    import mongomock, pytest
    from pytest_replicalag import wrap

    client = wrap(mongomock.MongoClient())

    @functools.lru_cache
    def rate(name):
        return client.shop.rates.find_one({"_id": name})

    @pytest.mark.replica_lag
    def test_rate():
        client.shop.rates.insert_one({"_id": "vat"})
        rate("vat")
"""


def test_a_cache_that_outlives_the_test_is_no_proof(project, summary):
    project.ini("replica_lag_read_preference = secondaryPreferred")
    project.file("test_it", CACHED)
    told = " ".join(" ".join(summary(project.run("--replica-lag-explore=100"))).split())
    assert told == (
        "test_it.py::test_rate: 1 schedule passed; but its first run read what later ones did not: "
        "something outlives the test, such as a cache; let a fixture clear it"
    )


@pytest.mark.parametrize("limit", [3, 4, 5])
def test_a_test_that_fails_when_it_has_run_often_is_broken_by_no_schedule(project, summary, limit):
    body = f"""
    import itertools
    import pytest

    numbers = itertools.count(1)

    @pytest.mark.replica_lag
    def test_it(db):
        number = next(numbers)
        db.carts.insert_one({{"_id": number}})
        db.carts.find_one({{"_id": number}})
        assert number < {limit}
    """
    project.file("test_it", body)
    result = project.run("--replica-lag-explore=100", "--replica-lag-report=lag.json")
    result.assert_outcomes(failed=1)
    assert "it passes once and fails when it runs again" in " ".join(summary(result))
    assert "fails only under replica lag" not in result.stdout.str()
    [told] = json.loads((project.path / "lag.json").read_text())["tests"]
    assert told["exploration"]["failing_schedule"] is None
    assert not told["exploration"]["is_exhausted"]


def test_an_example_of_a_property_test_finds_no_data_of_the_one_before(project):
    project.file(
        "test_it",
        """
        import pytest
        from hypothesis import HealthCheck, given, settings, strategies as st

        @pytest.mark.replica_lag
        @settings(suppress_health_check=list(HealthCheck), database=None, deadline=None)
        @given(st.integers(0, 3))
        def test_it(db, number):
            db.carts.delete_many({})
            db.carts.insert_one({"_id": number})
            assert db.carts.count_documents({}) <= 1
        """,
    )
    project.run("--replica-lag-explore=1").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("end", "told"),
    [("pytest.exit('gone')", "Exit: gone"), ("raise KeyboardInterrupt", "KeyboardInterrupt")],
)
@pytest.mark.parametrize("how", ["explore=100", f"schedule={Schedule.of([1, 0, 0, 0])}"])
def test_a_test_that_ends_the_run_ends_it_under_a_schedule_too(project, how, end, told):
    body = f"""
    import pytest

    @pytest.mark.replica_lag
    def test_it(db):
        db.carts.insert_one({{"_id": 1}})
        if not db.carts.find_one({{"_id": 1}}):
            {end}

    def test_next():
        pass
    """
    project.file("test_it", body)
    result = project.run_apart(f"--replica-lag-{how}")
    assert f"{told} !!" in result.stdout.str()
    assert result.ret == 2
    assert "passed" not in result.stdout.str()
