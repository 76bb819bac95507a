"""The tables on the reference pages are those that the package makes."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))

from tables import with_tables  # noqa: E402

PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in ROOT.glob("docs/**/*.md")
    if "<!-- table: " in page.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("page", PAGES)
def test_tables_of_a_page(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text == with_tables(text), "run docs/update_outputs.py"


def test_there_are_some():
    assert "docs/reference/options.md" in PAGES
