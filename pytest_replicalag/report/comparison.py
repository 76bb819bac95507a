"""Two reports of the same code at two times: what is new, and what is fixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_replicalag.report.layout import plural
from pytest_replicalag.report.wording import TITLES, headline, place

__all__ = ["difference_lines", "fixed_in", "new_in"]


def new_in(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The findings of the newer report that the older one does not have."""
    known = {finding["id"] for finding in old["findings"]}
    return [finding for finding in new["findings"] if finding["id"] not in known]


def fixed_in(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The findings of the older report that the newer one does not have."""
    return new_in(new, old)


def difference_lines(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """A line for each finding that is new or fixed, and one that counts them."""
    came, went = new_in(old, new), fixed_in(old, new)
    yield from (f"new    {_line(finding)}" for finding in came)
    yield from (f"fixed  {_line(finding)}" for finding in went)
    stayed = len(new["findings"]) - len(came)
    findings = plural(len(came), "finding")
    yield f"{len(came)} new {findings}, {len(went)} fixed, {stayed} as before"


def _line(finding: Mapping[str, Any]) -> str:
    """A finding of a report, or of a baseline."""
    title = TITLES.get(finding["kind"], finding["kind"]).lower()
    if "example" not in finding:
        return f"{finding['id']}  {title}  {finding['where']}: {finding['what']}"
    where = place(finding["example"]["call_site"])
    return f"{finding['id']}  {title}  {where}: {headline(finding)}"
