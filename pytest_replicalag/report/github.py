"""Annotations of GitHub Actions: lines that a job prints, and GitHub shows beside the code.

GitHub documentation, Workflow commands for GitHub Actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_replicalag.report.wording import TITLES, has_line, headline, long_text

__all__ = ["workflow_commands"]


def workflow_commands(document: Mapping[str, Any]) -> list[str]:
    """A line for each finding whose line of code is known, and that the baseline does not know."""
    return [
        _annotation(finding)
        for finding in document["findings"]
        if not finding.get("is_known", False) and has_line(finding)
    ]


def _annotation(finding: Mapping[str, Any]) -> str:
    site = finding["example"]["call_site"]
    title = f"{TITLES[finding['kind']]}: {headline(finding)}"
    where = f"file={_property(site['path'])},line={site['line']},title={_property(title)}"
    return f"::warning {where}::{_data(long_text(finding))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
