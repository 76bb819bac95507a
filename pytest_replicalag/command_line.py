"""The command `pytest-replicalag`: what can be done with reports after a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_replicalag import __version__
from pytest_replicalag.report.comparison import difference_lines, new_in
from pytest_replicalag.report.formats import ending_of, rendered, save
from pytest_replicalag.report.merging import merged
from pytest_replicalag.report.reading import read_document

__all__ = ["main"]

_NEW_FINDINGS = 1
_CANNOT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Those after the command's name; those of the process if it is None.

    Returns:
        The exit code: 0, or 1 if `diff` has found something new, or 2 if a file cannot be used.
    """
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except (ValueError, OSError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
        sys.stderr.write(f"pytest-replicalag: {reason}\n")
        return _CANNOT
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytest-replicalag",
        description="Compare and join reports that pytest --replica-lag-report has written.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    diff = commands.add_parser(
        "diff",
        help="print new and fixed findings; exit code 1 if there are new ones",
        description="Print the findings that NEW has and OLD has not, and those that are fixed. "
        "Exit code 1 if there are new ones.",
    )
    diff.add_argument("old", metavar="OLD.json", help="a report, or a baseline")
    diff.add_argument("new", metavar="NEW.json", help="a report")
    diff.set_defaults(run=_diff)

    merge = commands.add_parser(
        "merge",
        help="join the reports of several runs, such as the shards of a CI job",
        description="Join the reports of several runs, such as the shards of a CI job. The ending "
        "of the output's name says its format: .json, .html, .sarif, .codequality.json or .md.",
    )
    merge.add_argument("reports", metavar="REPORT.json", nargs="+", help="a report")
    merge.add_argument(
        "-o", "--output", metavar="FILE", help="where the result goes (default: JSON, printed)"
    )
    merge.set_defaults(run=_merge)
    return parser


def _diff(options: argparse.Namespace) -> int:
    old, new = _document(options.old), _report(options.new)
    sys.stdout.write("".join(f"{line}\n" for line in difference_lines(old, new)))
    return _NEW_FINDINGS if new_in(old, new) else 0


def _merge(options: argparse.Namespace) -> int:
    if options.output is not None:
        ending_of(options.output)
    document = merged([_report(path) for path in options.reports])
    _check_each_once(options.reports)
    if options.output is None:
        sys.stdout.write(rendered(document, "report.json"))
        return 0
    save(Path(options.output), rendered(document, options.output))
    sys.stdout.write(f"wrote {options.output}\n")
    return 0


def _check_each_once(paths: Sequence[str]) -> None:
    """Refuse to count a run twice; reports that are only alike may be of several environments.

    Raises:
        ValueError: A file is named twice, by whatever paths.
    """
    first: dict[tuple[int, int], str] = {}
    for path in paths:
        status = Path(path).stat()
        other = first.setdefault((status.st_dev, status.st_ino), path)
        if other is not path:
            raise ValueError(f"{path!r} is the same file as {other!r}; name each report once")


def _document(path: str) -> dict[str, Any]:
    """A report in JSON, or a baseline.

    Raises:
        ValueError: There is none.
    """
    try:
        return read_document(Path(path))
    except ValueError as error:
        raise ValueError(f"{error}; write one by pytest --replica-lag-report=FILE.json") from None


def _report(path: str) -> dict[str, Any]:
    """A report in JSON.

    Raises:
        ValueError: There is none, or it is a baseline.
    """
    document = _document(path)
    if "tests" not in document:
        raise ValueError(f"{path!r} is a baseline; name a report that a run has written")
    return document
