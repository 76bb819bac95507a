"""A baseline: the findings that are known, so that only new ones fail.

Either a file that `--replica-lag-update-baseline` has written, or a report in JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_replicalag.records import LostWrite, StaleRead
from pytest_replicalag.report.document import SCHEMA_VERSION
from pytest_replicalag.report.identity import Identities
from pytest_replicalag.report.wording import file_of, headline

__all__ = ["Baseline", "baseline_text"]


@dataclass(frozen=True, slots=True)
class Baseline:
    """The findings that are known.

    Attributes:
        identities: Names findings.
        known: The names of those that are known.
        knows_all: Whether whatever is found is taken for known: the baseline is being written.
    """

    identities: Identities
    known: frozenset[str] = frozenset()
    knows_all: bool = False

    def new_stale_reads(self, reads: Iterable[StaleRead]) -> int:
        """How many of these are not known."""
        if self.knows_all:
            return 0
        return sum(self.identities.of_stale_read(read) not in self.known for read in reads)

    def new_lost_writes(self, writes: Iterable[LostWrite]) -> int:
        """How many of these are not known."""
        if self.knows_all:
            return 0
        return sum(self.identities.of_lost_write(write) not in self.known for write in writes)

    def marked(self, document: dict[str, Any]) -> dict[str, Any]:
        """A report's document, whose findings say whether they are known."""
        findings = [
            {**finding, "is_known": self.knows_all or finding["id"] in self.known}
            for finding in document["findings"]
        ]
        return {**document, "findings": findings}


def baseline_text(document: Mapping[str, Any], kept: Iterable[Mapping[str, Any]] = ()) -> str:
    """The baseline that a report makes: no more than tells the findings apart, for reviews.

    It has no line numbers, so that it changes only with the findings.

    Args:
        document: The report.
        kept: Findings of another report, or of a baseline, that are known as well.
    """
    known = [_entry(finding) for finding in (*document["findings"], *kept)]
    known.sort(key=lambda finding: (finding["where"], finding["what"], finding["id"]))
    baseline = {"schema_version": SCHEMA_VERSION, "findings": known}
    return json.dumps(baseline, indent=2, ensure_ascii=False) + "\n"


def _entry(finding: Mapping[str, Any]) -> Mapping[str, Any]:
    """A finding as a baseline has it; one of a baseline stays as it is."""
    if "example" not in finding:
        return finding
    return {
        "id": finding["id"],
        "kind": finding["kind"],
        "where": file_of(finding["example"]["call_site"]),
        "what": headline(finding, with_places=False),
    }
