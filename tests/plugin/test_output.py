"""What a person sees: help, a failing test's section, and the summary, in 80 and 120 columns."""

import pytest

from pytest_replicalag.options import OPTIONS


def test_help_has_a_group_with_every_option(project):
    lines = project.run("--help").outlines
    start = lines.index("replica lag: find read-after-write bugs without replicas:")
    group = lines[start : lines.index("", start)]
    for option in OPTIONS:
        assert sum(line.split("=")[0].split()[:1] == [option.flag] for line in group) == 1
    assert max(map(len, group)) <= 80


def test_help_names_every_ini_key(project):
    lines = project.run("--help").outlines
    for option in OPTIONS:
        kind = "bool" if option.is_flag else "args" if option.is_list else "string"
        assert any(line.startswith(f"  {option.ini} ({kind}):") for line in lines), option.ini
    assert any(line.startswith("  replica_lag_fixtures (args):") for line in lines)


def test_a_failing_tests_section_in_80_columns(project, section):
    project.buggy()
    assert section(project.run("--replica-lag=200ms")) == [
        'stale read  shop.orders.find_one({"_id": 7}) returned None',
        "app.py:6 in get_order".rjust(80),
        "served by   secondary-2, 200 ms behind; read preference secondaryPreferred",
        'primary has {"_id": 7, "status": "placed"}',
        'missed      insert_one({"_id": 7, "status": "placed"}), 1 ms earlier',
        "app.py:2 in place_order".rjust(80),
        "breaks      read your writes",
        "fix         read it from the primary (read preference primary)",
        "            or use one causally consistent session for both",
        "            or write with w: 3, so that every member has it",
        "            or use the document that was inserted",
        "",
        "verdict     fails only under replica lag",
        "replay      pytest test_orders.py::test_order --replica-lag=200ms --replica-lag-seed=0",
    ]


def test_a_failing_tests_section_in_120_columns(project, section, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    project.buggy()
    lines = section(project.run("--replica-lag=200ms"))
    read, missed = lines[0], lines[3]
    assert read == 'stale read  shop.orders.find_one({"_id": 7}) returned None'.ljust(99) + (
        "app.py:6 in get_order"
    )
    assert missed == (
        'missed      insert_one({"_id": 7, "status": "placed"}), 1 ms earlier'.ljust(97)
        + "app.py:2 in place_order"
    )
    assert len(read) == len(missed) == 120


def test_the_summary_in_80_and_in_120_columns(project, summary, monkeypatch):
    project.buggy()
    assert summary(project.run("--replica-lag=200ms")) == [
        "app.py:6: shop.orders.find_one missed insert_one at app.py:2",
        "    (once: test_orders.py::test_order)",
        "Stale reads in 1 of 1 test with lag.",
        "1 test fails only under replica lag.",
    ]
    monkeypatch.setenv("COLUMNS", "120")
    line = "app.py:6: shop.orders.find_one missed insert_one at app.py:2"
    assert summary(project.run("--replica-lag=200ms")) == [
        f"{line} (once: test_orders.py::test_order)",
        "Stale reads in 1 of 1 test with lag.",
        "1 test fails only under replica lag.",
    ]


def test_the_replay_command_finds_the_same(project, section):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag(choose="random")
        @pytest.mark.parametrize("name", ["a b", "it's"])
        def test_it(db, name):
            for number in range(9):
                db.orders.insert_one({"_id": number})
                db.orders.count_documents({})
            assert name == "a b"
        """,
    )
    options = ("--replica-lag=1ms..9ms,1s", "--replica-lag-seed=5")
    lines = section(project.run(*options))
    assert lines[-1] == (
        "replay      pytest 'test_it.py::test_it[it'\"'\"'s]' --replica-lag=1ms..9ms,1s "
        "--replica-lag-seed=5"
    )
    assert section(project.run("test_it.py::test_it[it's]", *options)) == lines


def test_the_replay_command_has_what_was_said_in_the_place_of_the_ini_file(project, section):
    project.buggy()
    options = ("-o", "replica_lag_secondaries=3", "-o", "console_output_style=classic")
    result = project.run("--replica-lag=200ms", *options, "-o", "replica_lag_report=lag.json")
    assert section(result)[-1] == (
        "replay      pytest test_orders.py::test_order -o replica_lag_secondaries=3 "
        "--replica-lag=200ms --replica-lag-seed=0"
    )


def test_paths_lead_from_where_pytest_was_started(project, section, monkeypatch):
    project.buggy()
    (project.path / "below").mkdir()
    monkeypatch.chdir(project.path / "below")
    lines = section(project.run("--replica-lag=1s", "--rootdir=..", ".."))
    assert lines[1].strip() == "../app.py:6 in get_order"
    assert lines[-1].startswith("replay      pytest ../test_orders.py::test_order ")


def test_marked_tests_that_ran_without_lag_are_counted(project, summary):
    project.buggy()
    text = "1 test marked replica_lag ran without lag; add --replica-lag=200ms"
    assert summary(project.run()) == [text]
    project.file(
        "test_more",
        """
        import pytest

        @pytest.mark.replica_lag
        def test_it(): ...

        @pytest.mark.replica_lag("off")
        def test_off(): ...

        @pytest.mark.replica_lag
        @pytest.mark.skip
        def test_skipped(): ...

        def test_unmarked(): ...
        """,
    )
    text = "2 tests marked replica_lag ran without lag; add --replica-lag=200ms"
    assert summary(project.run()) == [text]
    assert summary(project.run("--replica-lag=off")) is None


def test_nothing_is_said_of_a_run_that_has_nothing_to_do_with_lag(project):
    project.file("test_it", "def test_it(): ...")
    assert "replica" not in project.run().stdout.str()


READS = """
import pytest
from pytest_replicalag import MongoClient

@pytest.mark.replica_lag
def test_it():
    db = MongoClient("mongodb://db/URI").shop
    db.orders.insert_one({"_id": 7})
    db.customers.find_one()
    db.customers.find_one()
"""


def test_a_run_whose_reads_all_go_to_the_primary_says_that_it_checked_nothing(project, summary):
    project.file("test_it", READS.replace("URI", ""))
    assert summary(project.run("--replica-lag=1s")) == [
        "Nothing was checked: none of 2 reads with lag could go to a secondary, for every",
        "    client reads from the primary. If production does not, say so with",
        "    --replica-lag-read-preference=secondaryPreferred.",
    ]


def test_a_run_without_a_wrapped_client_says_that_it_checked_nothing(project, summary):
    project.file("test_it", "def test_it(): ...")
    assert summary(project.run("--replica-lag=1s", "--replica-lag-all")) == [
        "Nothing was checked: 1 test with lag read nothing through a client of the",
        "    simulated set. Where they read, wrap the client (pytest_replicalag.wrap),",
        "    name its fixture in replica_lag_fixtures, or connect it to replica_lag_uri.",
    ]


def test_a_run_without_a_stale_read_says_what_was_checked(project, summary):
    project.file("test_it", READS.replace("URI", "?readPreference=secondary"))
    text = "No stale read: 2 reads that a secondary could serve, in 1 test with lag."
    assert summary(project.run("--replica-lag=1s")) == [text]


def test_the_same_read_of_several_tests_is_one_line(project, summary):
    project.file(
        "test_it",
        """
        import pytest
        from app import get_order, place_order

        @pytest.mark.replica_lag
        @pytest.mark.parametrize("times", [1, 2, 3, 4])
        def test_it(db, times):
            place_order(db, 7)
            for _ in range(times):
                get_order(db, 7)
        """,
    )
    assert summary(project.run("--replica-lag=1s")) == [
        "app.py:6: shop.orders.find_one missed insert_one at app.py:2",
        "    (10 times: test_it.py::test_it[1], test_it.py::test_it[2],",
        "    test_it.py::test_it[3] and 1 more)",
        "Stale reads in 4 of 4 tests with lag.",
    ]


def test_a_passing_test_shows_no_section(project, section):
    project.file("test_it", READS.replace("URI", "?readPreference=secondary"))
    assert section(project.run("--replica-lag=1s", "-rA")) is None


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest 9 brings the fixture subtests")
def test_a_failing_subtest_shows_its_section_and_counts_once(project, summary):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag
        def test_it(db, subtests):
            db.orders.insert_one({"_id": 7})
            for number in range(2):
                with subtests.test(number=number):
                    assert db.orders.find_one({"_id": 7})
        """,
    )
    result = project.run("--replica-lag=1s")
    assert result.stdout.str().count("- replica lag -") == 2
    assert summary(result) == [
        "test_it.py:8: shop.orders.find_one missed insert_one at test_it.py:5",
        "    (2 times: test_it.py::test_it)",
        "Stale reads in 1 of 1 test with lag.",
    ]


def test_a_run_without_a_terminal_ends_as_any_other(project):
    project.buggy()
    result = project.run("--replica-lag=1s", "-p", "no:terminal")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.stderr.str() == ""


def test_junit_and_quiet_runs_work(project, summary):
    project.buggy()
    result = project.run("--replica-lag=1s", "-q", "--junitxml=report.xml")
    assert summary(result)[-2:] == [
        "Stale reads in 1 of 1 test with lag.",
        "1 test fails only under replica lag.",
    ]
    assert (project.path / "report.xml").exists()


def test_the_plugin_is_found_without_being_named(project, monkeypatch):
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    result = project.pytester.runpytest_subprocess("--replica-lag=1s", "-p", "no:randomly")
    assert "replica lag: 1s in tests marked replica_lag, seed=0" in result.outlines


def test_a_section_keeps_its_lines_where_the_terminal_lacks_letters(project, section, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag
        def test_it(db):
            db.orders.insert_one({"_id": 7, "name": "ä"})
            assert db.orders.find_one({"_id": 7})
        """,
    )
    lines = section(project.run_apart("--replica-lag=200ms"))
    assert 'primary has {"_id": 7, "name": "\\xe4"}' in lines


def test_what_a_thread_does_by_itself_is_the_tests_own_doing(project, section):
    """All that runs there is the driver's method, which is no line of the project."""
    project.file(
        "test_it",
        """
        import pytest
        from concurrent.futures import ThreadPoolExecutor

        @pytest.mark.replica_lag
        def test_it(db):
            with ThreadPoolExecutor() as pool:
                pool.submit(db.orders.insert_one, {"_id": 7}).result()
                assert pool.submit(db.orders.find_one, {"_id": 7}).result()
        """,
    )
    told = " ".join(section(project.run("--replica-lag=1s")))
    assert told.count("test_it.py:4 in test_it") == 2  # where the function begins
    assert "thread" not in told
