"""The forum: its bugs break each session guarantee and lose a write, and no fixed lag shows it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

GUARANTEES = {
    "test_albums.py": "read your writes",
    "test_comments.py": "monotonic reads",
    "test_posts.py": "monotonic writes",
    "test_answers.py": "writes follow reads",
}

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tmp_path):
    def run(name, *options):
        folder = tmp_path / name
        ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".hypothesis")
        shutil.copytree(EXAMPLES / name, folder, ignore=ignored, dirs_exist_ok=True)
        command = [sys.executable, "-m", "pytest", "-p", "no:randomly", *options]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=100
        )
        return done.stdout

    return run


@pytest.mark.parametrize("name", ["forum_buggy", "forum_fixed"])
@pytest.mark.parametrize("lag", ["200ms", "inf"])
def test_a_fixed_lag_breaks_no_test(run, name, lag):
    assert "5 passed" in run(name, f"--replica-lag={lag}")


def test_exploring_finds_each_bug_and_names_the_guarantee(run):
    told = run("forum_buggy", "--replica-lag-explore=100")
    assert "5 failed" in told
    found = [line.split(maxsplit=1)[1] for line in told.splitlines() if line.startswith("breaks")]
    assert sorted(found) == sorted(GUARANTEES.values())
    assert told.count("- replica lag: minimal schedule -") == 5
    assert told.count("is served by secondary-") == 4
    assert told.count("is elected without") == 1
    assert told.count("acknowledged with w: 1, rolled back") == 2  # the section, and the summary


def test_what_breaks_without_an_election_is_reported_without_one(run):
    told = run("forum_buggy", "--replica-lag-explore=100", "--replica-lag-elections")
    assert told.count("fails when  read ") == 4
    assert told.count("fails when  primary crashes") == 1
    assert "the test did otherwise" not in told


def test_the_report_names_what_the_reader_knew_and_what_had_arrived(run):
    told = " ".join(run("forum_buggy", "--replica-lag-explore=100").split())
    assert 'known from forum.comments.count_documents({"post": "summer"}) on secondary-1' in told
    assert "known from forum.posts.insert_one(" in told
    assert "known from forum.answers.insert_one(" in told
    assert "in part: all but its last change had arrived" in told


def test_the_mended_forum_passes_every_schedule(run):
    told = " ".join(run("forum_fixed", "--replica-lag-explore=100").split())
    assert "5 passed" in told
    assert told.count("schedules pass: no replication schedule of this kind breaks this test") == 5


def test_both_forums_have_the_same_tests():
    for file in [*GUARANTEES, "test_badges.py"]:
        buggy, fixed = (EXAMPLES / f"forum_{kind}" / "tests" / file for kind in ("buggy", "fixed"))
        assert buggy.read_text() == fixed.read_text()
