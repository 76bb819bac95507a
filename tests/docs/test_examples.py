"""Every example in the docs and the README does what it is shown to do."""

import os
import sys
from pathlib import Path

import pytest
from mongod_program import mongod_program

sys.path.insert(0, str(Path(__file__).parent))

from doc_pages import LABELLED, ROOT, Block, PageError, Reader, needs, pages, parse, render

PAGES = [path.relative_to(ROOT).as_posix() for path in pages()]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_examples_of_page(page, tmp_path, tmp_path_factory, monkeypatch):
    text = (ROOT / page).read_text(encoding="utf-8")
    for module in _notes_of_needs(text):
        pytest.importorskip(module)
    if "mirakuru" in _notes_of_needs(text):  # it starts a mongod, which is to be found on PATH
        found = mongod_program(tmp_path_factory.mktemp("mongod"))
        monkeypatch.setenv("PATH", f"{found.parent}{os.pathsep}{os.environ['PATH']}")
    for block, actual in Reader(tmp_path).follow(text):
        shown = f"{page}:{block.line}\n{block.text}"
        assert shown == f"{page}:{block.line}\n{actual}", "run docs/update_outputs.py"


def _notes_of_needs(text):
    notes = (item.label for item in parse(text) if not isinstance(item, Block))
    return [name for label in notes if label.startswith("needs") for name in needs(label)]


@pytest.mark.parametrize("language", LABELLED)
def test_unlabelled_block_is_refused(language, tmp_path):
    with pytest.raises(PageError, match=f"line 3: a block of {language} says neither"):
        list(Reader(tmp_path).follow(f"Text.\n\n```{language}\nx\n```\n"))


def test_block_that_is_not_run_says_why(tmp_path):
    with pytest.raises(PageError, match="says neither"):
        list(Reader(tmp_path).follow("<!-- not run -->\n```python\nx\n```\n"))


def test_excerpt_that_is_not_in_its_file_is_refused(tmp_path):
    page = "<!-- from: pyproject.toml -->\n```toml\nno such line\n```\n"
    with pytest.raises(PageError, match=r"line 2: this is not in pyproject\.toml"):
        list(Reader(tmp_path).follow(page))


def test_file_that_no_command_runs_is_refused(tmp_path):
    page = "<!-- file: test_it.py -->\n```python\nx = 1\n```\n"
    with pytest.raises(PageError, match=r"no command runs test_it\.py"):
        list(Reader(tmp_path).follow(page))


def test_wrong_exit_code_is_refused(tmp_path):
    page = "<!-- run -->\n```console\n$ python -c 'raise SystemExit(3)'\n```\n"
    with pytest.raises(PageError, match="ended with exit code 3, not 0"):
        list(Reader(tmp_path).follow(page))


def test_wrong_output_is_noticed_and_mended(tmp_path):
    page = "Text.\n\n<!-- run -->\n```console\n$ python -c 'print(1)'\n2\n```\n\nMore.\n"
    [(block, actual)] = Reader(tmp_path).follow(page)
    assert block.text != actual
    block.text = actual
    assert render(page, [block]) == page.replace("2\n", "1\n")


def test_check_without_its_words_is_refused(tmp_path):
    with pytest.raises(PageError, match="“2” is not in"):
        list(Reader(tmp_path).follow("<!-- check: python -c 'print(1)' => 2 -->\n"))
