from __future__ import annotations

import importlib

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def no_job(monkeypatch):
    """Let inner runs print the same in a CI job as elsewhere.

    pytest shortens no line of its summary where ``CI`` or ``BUILD_NUMBER`` is set, and the
    plugin writes for GitHub Actions in its jobs.
    """
    for name in ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def endpoints_of_its_own(request, monkeypatch):
    """Let an inner run have endpoints of its own: data and all, whatever the outer run has."""
    if "pytester" not in request.fixturenames:
        yield
        return
    module = importlib.import_module("pytest_replicalag.endpoints")
    own = module.Endpoints()
    monkeypatch.setattr(module, "endpoints", own)
    governor = module.governor
    resting = governor.resting_settings
    yield
    own.stop()
    governor.rest_like(resting)  # else the endpoints of later tests have as many members
