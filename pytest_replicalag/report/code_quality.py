"""A report as a Code Quality report, for merge requests in GitLab.

GitLab documentation, Code Quality: report format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_replicalag.report.wording import has_line, headline, sentence

__all__ = ["issues"]


def issues(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An issue for each finding whose line of code is known, and that the baseline does not know.

    GitLab has no place for others.
    """
    return [
        {
            "description": f"{headline(finding)}. {sentence(finding)}",
            "check_name": finding["kind"].replace("_", "-"),
            "fingerprint": finding["id"],
            "severity": "critical" if finding["kind"] == "lost_write" else "major",
            "location": {
                "path": finding["example"]["call_site"]["path"],
                "lines": {"begin": max(finding["example"]["call_site"]["line"], 1)},
            },
        }
        for finding in document["findings"]
        if has_line(finding) and not finding.get("is_known", False)
    ]
