"""The formats that a report can be written in, by the ending of the file's name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

__all__ = ["FORMATS", "ending_of", "rendered", "save"]


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _html(document: Mapping[str, Any]) -> str:
    from pytest_replicalag.report.html import page

    return page(document)


def _sarif(document: Mapping[str, Any]) -> str:
    from pytest_replicalag.report.sarif import log

    return _json(log(document))


def _code_quality(document: Mapping[str, Any]) -> str:
    from pytest_replicalag.report.code_quality import issues

    return _json(issues(document))


def _markdown(document: Mapping[str, Any]) -> str:
    from pytest_replicalag.report.markdown import page

    return page(document)


FORMATS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    ".codequality.json": _code_quality,
    ".json": _json,
    ".html": _html,
    ".sarif": _sarif,
    ".md": _markdown,
}
"""What makes a document a text, by ending; the first that fits counts."""


def ending_of(path: str) -> str:
    """The ending of a file's name that says its format.

    Raises:
        ValueError: It says none.
    """
    name = Path(path).name.lower()
    for ending in FORMATS:
        if name.endswith(ending) and name != ending:
            return ending
    endings = ", ".join(FORMATS)
    raise ValueError(f"{path!r} does not end in one of {endings}; write replica-lag.json")


def rendered(document: Mapping[str, Any], path: str) -> str:
    """A document in the format of a file.

    Raises:
        ValueError: The file's name says no format.
    """
    return FORMATS[ending_of(path)](document)


def save(path: Path, text: str, mode: Literal["w", "a"] = "w") -> None:
    """Write a text to a file; half a surrogate pair, which a test may hold, as JSON escapes it.

    Raises:
        OSError: The file cannot be written.
    """
    with path.open(mode, encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
