"""The command `pytest-replicalag`, as `python -m pytest_replicalag`."""

from pytest_replicalag.command_line import main

if __name__ == "__main__":
    raise SystemExit(main())
