"""Exploring shows how far it is, on a terminal, and leaves nothing of it behind."""

import io
from types import SimpleNamespace

import pytest
from _pytest._io import TerminalWriter

from pytest_replicalag import progress as module
from pytest_replicalag.progress import Progress


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(module, "_EVERY_S", 0)


def config(*, is_terminal=True, verbosity=0, width=80):
    writer = TerminalWriter(io.StringIO())
    writer.fullwidth = width
    reporter = SimpleNamespace(isatty=is_terminal)
    return SimpleNamespace(
        pluginmanager=SimpleNamespace(get_plugin=lambda _name: reporter),
        get_verbosity=lambda: verbosity,
        get_terminal_writer=lambda: writer,
        text=writer._file.getvalue,
        writer=writer,
    )


def shown(text):
    """What stands in a terminal's line."""
    line, at = [], 0
    for letter in text:
        if letter == "\b":
            at -= 1
        else:
            line[at : at + 1] = [letter]
            at += 1
    return "".join(line)


def test_it_counts_behind_what_is_there_and_goes_away():
    run = config()
    run.writer.write("test_it.py .")
    with Progress(run, 50) as progress:
        for number in range(1, 12):
            progress.step()
            assert shown(run.text()) == f"test_it.py . {number} of 50 schedules"
    assert shown(run.text()).rstrip() == "test_it.py ."
    run.writer.write("F")
    assert shown(run.text()).rstrip() == "test_it.py .F"


@pytest.mark.parametrize("options", [{"is_terminal": False}, {"verbosity": -1}])
def test_a_log_and_a_quiet_run_get_nothing(options):
    run = config(**options)
    with Progress(run, 50) as progress:
        progress.step()
    assert run.text() == ""


def test_what_has_no_room_is_not_shown():
    run = config(width=20)
    run.writer.write("test_it.py .")
    with Progress(run, 50) as progress:
        progress.step()
    assert run.text() == "test_it.py ."
