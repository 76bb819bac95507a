"""`--replica-lag-baseline`: findings that are known fail no test; and the command that compares."""

import json
import subprocess
import sys

import pytest

TEST = """
    import app
    import pytest

    @pytest.mark.replica_lag
    def test_order(db):
        app.place_order(db, 7)
        app.get_order(db, 7)
"""

FAIL = ("--replica-lag=200ms", "--replica-lag-on-stale=fail", "--replica-lag-no-verdict")
BASELINE = "--replica-lag-baseline=known.json"


@pytest.fixture
def shop(project):
    project.file("test_it", TEST)
    project.run(*FAIL).assert_outcomes(failed=1)
    return project


@pytest.fixture
def known(shop):
    shop.run(*FAIL, BASELINE, "--replica-lag-update-baseline").assert_outcomes(passed=1)
    return shop


def another_read(project):
    project.file(
        "test_more",
        """
        import pytest

        @pytest.mark.replica_lag
        def test_more(db):
            db.orders.insert_one({"_id": 8})
            db.orders.count_documents({})
        """,
    )


def test_what_is_known_fails_no_test(known, summary):
    result = known.run(*FAIL, BASELINE)
    result.assert_outcomes(passed=1)
    assert "Baseline: 0 new findings, 1 known." in summary(result)


def test_what_is_new_does(known, summary):
    another_read(known)
    result = known.run(*FAIL, BASELINE)
    result.assert_outcomes(passed=1, failed=1)
    assert "Baseline: 1 new finding, 1 known." in summary(result)


def test_what_is_fixed_is_told(known, summary):
    known.file(
        "app",
        "def place_order(db, n): db.orders.insert_one({'_id': n})\n\n\ndef get_order(db, n): ...\n",
    )
    result = known.run(*FAIL, BASELINE)
    result.assert_outcomes(passed=1)
    told = " ".join(" ".join(summary(result)).split())
    assert "Baseline: 0 new findings, 0 known, 1 not seen; if they are mended," in told


def test_it_holds_though_lines_move_and_tests_come(known):
    app = (known.path / "app.py").read_text()
    known.file("app", f"# a comment\n\n\n{app}")
    known.file("test_it", TEST.replace("test_order", "test_other"))
    known.run(*FAIL, BASELINE).assert_outcomes(passed=1)


def test_the_file_can_be_read_by_people(known):
    baseline = json.loads((known.path / "known.json").read_text())
    [finding] = baseline["findings"]
    assert finding == {
        "id": finding["id"],
        "kind": "stale_read",
        "where": "app.py",
        "what": "shop.orders.find_one missed insert_one",
    }


def test_the_ini_file_names_it(known):
    known.ini("replica_lag_baseline = known.json")
    known.run(*FAIL).assert_outcomes(passed=1)


def test_a_report_can_be_one(shop):
    shop.run("--replica-lag=200ms", "--replica-lag-report=report.json")
    shop.run(*FAIL, "--replica-lag-baseline=report.json").assert_outcomes(passed=1)


@pytest.mark.slow
def test_workers_know_it_too(known):
    known.run_apart(*FAIL, BASELINE, "-p", "xdist", "-n", "2").assert_outcomes(passed=1)


def test_reports_say_what_is_known(known):
    another_read(known)
    known.run(*FAIL, BASELINE, "--replica-lag-report=out.json", "--replica-lag-report=o.sarif")
    findings = json.loads((known.path / "out.json").read_text())["findings"]
    assert sorted(finding["is_known"] for finding in findings) == [False, True]
    assert '"baselineState": "new"' in (known.path / "o.sarif").read_text()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "there is no file '{path}'"),
        ("{", "'{path}' is not JSON: Expecting property name"),
        ("[]", "'{path}' is not a report of pytest-replicalag"),
        ("[" * 200_000, "'{path}' is not a report of pytest-replicalag: it nests too deeply"),
        (
            '{"schema_version": 1, "findings": [{}]}',
            "'{path}' is not a baseline of pytest-replicalag: findings[0] must contain ['id',",
        ),
        (
            '{"schema_version": 99, "findings": []}',
            "'{path}' has version 99 of the schema, and this pytest-replicalag knows 1, until",
        ),
    ],
    ids=["missing", "malformed", "another document", "endless", "without an id", "newer"],
)
def test_a_bad_one_is_refused_before_the_tests(shop, text, problem):
    path = shop.path / "known.json"
    if text is not None:
        path.write_text(text)
    refusal = shop.refused(BASELINE)
    assert refusal.startswith("--replica-lag-baseline: " + problem.format(path=path))
    assert refusal.endswith("write one by --replica-lag-update-baseline")


def test_an_update_of_nothing_is_refused(shop):
    assert shop.refused("--replica-lag-update-baseline") == (
        "--replica-lag-update-baseline: no baseline is named; add "
        "--replica-lag-baseline=replica-lag.json"
    )


@pytest.mark.parametrize("end", ["-x", "interrupt", "error"])
def test_a_run_that_ends_early_does_not_write_it(known, summary, end):
    before = (known.path / "known.json").read_text()
    text = {
        "-x": "assert False",
        "interrupt": "raise KeyboardInterrupt",
        "error": "pytest.exit('enough')",
    }[end]
    known.file("test_a_first", f"import pytest\n\n\ndef test_it():\n    {text}\n")
    options = ["-x"] if end == "-x" else []
    result = known.run_apart(*FAIL, BASELINE, "--replica-lag-update-baseline", *options)
    assert (known.path / "known.json").read_text() == before
    assert "warning: the baseline was not updated, for the run ended before its tests did" in (
        result.outlines
    )


@pytest.mark.parametrize("options", [["--replica-lag=off"], []])
def test_a_run_without_lag_does_not_update_it(known, options):
    before = (known.path / "known.json").read_text()
    result = known.run(BASELINE, "--replica-lag-update-baseline", *options)
    result.assert_outcomes(passed=1)
    assert (known.path / "known.json").read_text() == before
    assert "warning: the baseline was not updated, for no test ran with lag" in result.outlines


class TestRunOfSomeTests:
    """What it does not see may be there as before: the file says nothing of tests."""

    UPDATE = (*FAIL, BASELINE, "--replica-lag-update-baseline")

    @pytest.fixture
    def two(self, known):
        """A project whose baseline knows the findings of two files."""
        another_read(known)
        known.file("unit/test_other", "def test_other(): ...\n")
        known.run(*self.UPDATE).assert_outcomes(passed=3)
        return known

    def whats(self, project):
        baseline = json.loads((project.path / "known.json").read_text())
        return [finding["what"] for finding in baseline["findings"]]

    ORDER = "shop.orders.find_one missed insert_one"
    MORE = "shop.orders.count_documents missed insert_one"

    @pytest.mark.parametrize(
        "some",
        [
            ["-k", "order"],
            ["--deselect=test_more.py"],
            ["--ignore=test_more.py"],
            ["test_it.py"],
            ["test_it.py::test_order", "unit"],
        ],
        ids=["-k", "--deselect", "--ignore", "file", "node id"],
    )
    def test_it_forgets_nothing_and_says_so(self, two, summary, some):
        before = (two.path / "known.json").read_text()
        result = two.run(*self.UPDATE, *some)
        assert (two.path / "known.json").read_text() == before
        assert " ".join(" ".join(summary(result)).split()).endswith(
            "wrote known.json; not all tests ran, so it keeps 1 finding that this run has not "
            "seen: to forget what is mended, update it by a run of all tests, or delete it first"
        )

    def test_it_adds_what_is_new(self, known):
        another_read(known)
        result = known.run(*self.UPDATE, "test_more.py")
        assert self.whats(known) == [self.ORDER, self.MORE]
        known.run(*FAIL, BASELINE).assert_outcomes(passed=2)
        (known.path / "known.json").unlink()
        result = known.run(*self.UPDATE, "test_more.py")
        assert self.whats(known) == [self.MORE]
        assert "wrote known.json" in result.outlines

    @pytest.mark.parametrize("every", [[], ["."], ["../{name}"]])
    def test_a_run_of_all_tests_forgets(self, two, every):
        two.file("test_more", "def test_more(): ...\n")
        result = two.run(*self.UPDATE, *(each.format(name=two.path.name) for each in every))
        assert self.whats(two) == [self.ORDER]
        assert "wrote known.json" in result.outlines

    @pytest.mark.parametrize(("named", "count"), [([], 1), (["unit"], 1), (["test_it.py"], 2)])
    def test_the_ini_file_says_what_all_tests_are(self, two, named, count):
        two.ini("testpaths = unit")
        two.file("unit/test_it", TEST)
        two.run(*self.UPDATE, *named)
        assert len(self.whats(two)) == count

    def test_one_that_cannot_be_kept_stays_as_it_is(self, two):
        (two.path / "known.json").write_text("{")
        result = two.run(*self.UPDATE, "test_it.py")
        assert (two.path / "known.json").read_text() == "{"
        told = " ".join(" ".join(result.outlines).split())
        assert "warning: the baseline was not updated: not all tests ran, and '" in told

    def test_findings_of_a_report_are_kept_as_a_baseline_has_them(self, two):
        before = (two.path / "known.json").read_text()
        two.run(*FAIL, "--replica-lag-report=report.json")
        (two.path / "report.json").rename(two.path / "known.json")
        two.run(*self.UPDATE, "test_it.py")
        assert (two.path / "known.json").read_text() == before

    def test_tests_that_cannot_be_collected_have_not_run(self, two):
        two.file("test_more", "import no_such_module\n")
        two.run(*self.UPDATE, "--continue-on-collection-errors")
        assert self.whats(two) == [self.ORDER, self.MORE]

    @pytest.mark.slow
    @pytest.mark.parametrize(("options", "count"), [(["-k", "not more"], 2), ([], 1)])
    def test_workers_tell_what_they_leave_out(self, two, options, count):
        if not options:
            two.file("test_more", "def test_more(): ...\n")
        two.run_apart(*self.UPDATE, "-p", "xdist", "-n", "2", *options)
        assert len(self.whats(two)) == count

    @pytest.mark.slow
    def test_a_run_of_what_failed_last_is_one_of_some(self, two):
        two.file("test_fails", TEST + "        assert False\n")
        options = (*self.UPDATE, "-p", "cacheprovider")
        two.run_apart(*options).assert_outcomes(passed=3, failed=1)
        result = two.run_apart(*options, "--lf")
        result.assert_outcomes(failed=1)
        assert self.whats(two) == [self.ORDER, self.MORE]
        assert any("so it keeps 1 finding" in line for line in result.outlines)


def test_a_collection_alone_writes_nothing(known):
    before = (known.path / "known.json").read_text()
    known.run(
        BASELINE, "--replica-lag-update-baseline", "--replica-lag-report=o.json", "--collect-only"
    )
    assert (known.path / "known.json").read_text() == before
    assert not (known.path / "o.json").exists()


class TestCommand:
    @pytest.fixture
    def command(self, shop):
        shop.run("--replica-lag=200ms", "--replica-lag-report=old.json")
        another_read(shop)
        shop.run("--replica-lag=200ms", "--replica-lag-report=new.json")

        def command(*arguments):
            program = (
                "import sys; from pytest_replicalag.command_line import main; sys.exit(main())"
            )
            return subprocess.run(
                [sys.executable, "-c", program, *arguments],
                cwd=shop.path,
                capture_output=True,
                text=True,
                check=False,
            )

        self.path = shop.path
        return command

    def test_diff_prints_what_is_new_and_exits_with_1(self, command):
        done = command("diff", "old.json", "new.json")
        assert done.returncode == 1
        new, count = done.stdout.splitlines()
        assert new.startswith("new    ")
        assert new.endswith(
            "test_more.py:6: shop.orders.count_documents missed insert_one at test_more.py:5"
        )
        assert count == "1 new finding, 0 fixed, 1 as before"

    def test_diff_prints_what_is_fixed_and_exits_with_0(self, command):
        done = command("diff", "new.json", "old.json")
        assert done.returncode == 0
        assert done.stdout.splitlines()[-1] == "0 new findings, 1 fixed, 1 as before"

    def test_merge_joins_shards(self, command):
        done = command("merge", "old.json", "new.json", "-o", "all.json")
        assert (done.returncode, done.stdout, done.stderr) == (0, "wrote all.json\n", "")
        document = json.loads((self.path / "all.json").read_text())
        assert len(document["findings"]) == 2
        assert len(document["tests"]) == 3
        assert document["summary"]["reads"] == 3

    def test_merge_prints_or_renders(self, command):
        assert json.loads(command("merge", "old.json").stdout)["schema_version"] == 1
        assert command("merge", "old.json", "-o", "page.html").returncode == 0
        assert (self.path / "page.html").read_text().startswith("<!DOCTYPE html>")

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (("diff", "no.json", "new.json"), "there is no file 'no.json'"),
            (("diff", "old.json", "base.json"), "'base.json' is a baseline; name a report"),
            (("merge", "old.json", "other.json"), "'other.json' has version 0 of the schema"),
            (("merge", "old.json", "old.json"), "'old.json' is the same file as 'old.json'"),
            (("merge", "old.json", "link.json"), "'link.json' is the same file as 'old.json'"),
            (("diff", "less.json", "new.json"), "'less.json' is not a report of pytest-replicalag"),
            (("merge", "old.json", "-o", "out.xml"), "'out.xml' does not end in one of"),
            (("merge", "old.json", "-o", "no/out.json"), "no/out.json: No such file or directory"),
        ],
    )
    def test_what_cannot_be_is_told(self, command, arguments, problem):
        (self.path / "base.json").write_text('{"schema_version": 1, "findings": []}')
        old = json.loads((self.path / "old.json").read_text())
        (self.path / "other.json").write_text(json.dumps({**old, "schema_version": 0}))
        (self.path / "link.json").symlink_to("old.json")
        (self.path / "less.json").write_text(json.dumps({**old, "tests": [5]}))
        done = command(*arguments)
        assert done.returncode == 2
        [line] = done.stderr.splitlines()
        assert line.startswith(f"pytest-replicalag: {problem}")

    def test_reports_that_are_alike_are_joined(self, command):
        (self.path / "other.json").write_text((self.path / "old.json").read_text())
        document = json.loads(command("merge", "old.json", "other.json").stdout)
        assert len(document["tests"]) == 2
