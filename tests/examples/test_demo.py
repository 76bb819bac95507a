"""The demo is a check: it passes as it stands, and fails if a run does not end as it is told."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.slow


@pytest.fixture
def examples(tmp_path):
    """A copy of the examples, to break."""
    copy = tmp_path / "examples"
    shutil.copytree(EXAMPLES, copy, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    return copy


def run_demo(folder):
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, str(folder / "demo.py")],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )


def replace(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_story_ends_as_told(examples):
    result = run_demo(examples)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "# All three runs ended as told" in result.stdout
    told = [line for line in result.stdout.splitlines() if line.startswith(("#", "stale", "fix"))]
    assert max(map(len, told)) <= 80


def test_a_shop_without_the_bug_is_not_the_story(examples):
    shutil.copy(examples / "shop_fixed/shop/orders.py", examples / "shop_buggy/shop/orders.py")
    result = run_demo(examples)
    assert result.returncode == 1
    assert "no report of the stale read at shop/orders.py:" in result.stdout


def test_a_mended_shop_that_is_still_stale_is_not_the_story(examples):
    replace(
        examples / "shop_fixed/shop/accounts.py", ", session=session)\n    return", ")\n    return"
    )
    result = run_demo(examples)
    assert result.returncode == 1
    assert "the mended shop still makes stale reads" in result.stdout


def test_changed_tests_are_not_the_story(examples):
    replace(examples / "shop_fixed/tests/test_carts.py", '["tea"]', '["tea"] or True')
    result = run_demo(examples)
    assert result.returncode == 1
    assert "test_carts.py differs between the two shops" in result.stdout
