"""MongoDB's commands, executed on the library: documents in, documents out.

No sockets, no members and no concerns here: a command runs on the client it is given, which shows
the primary's data, an earlier position's or a transaction's.

- `reads.py`, `writes.py`, `find_and_modify.py`, `catalog.py`, `indexes.py`: the commands;
- `fields.py`, `checks.py`: which fields each command may have, and what becomes of each;
- `names.py`, `identities.py`: names and `_id`s that can be; `variables.py`, `values.py`: what is
  put in place of variables and values;
- `conditions.py`, `equality.py`, `hints.py`, `projections.py`, `stages.py`: filters and pipelines;
- `operators.py`, `lacking.py`: what a server refuses in them, and what the engine lacks;
- `update_checks.py`, `update_arguments.py`, `update_targets.py`, `updates.py`, `upserts.py`,
  `positions.py`, `numbers.py`: updates, from what is refused to what is stored;
- `index_specifications.py`, `duplicates.py`: indexes, and what collides in them;
- `errors.py`: the library's exceptions as a server's errors.
"""

from pytest_replicalag.engines.memory.commands.catalog import catalog
from pytest_replicalag.engines.memory.commands.checks import check_fields
from pytest_replicalag.engines.memory.commands.fields import COMMANDS, CommandFields
from pytest_replicalag.engines.memory.commands.lacking import LACKING
from pytest_replicalag.engines.memory.commands.names import check_database
from pytest_replicalag.engines.memory.commands.reads import read, read_to_write
from pytest_replicalag.engines.memory.commands.writes import Statement, write, write_out

__all__ = [
    "COMMANDS",
    "LACKING",
    "CommandFields",
    "Statement",
    "catalog",
    "check_database",
    "check_fields",
    "read",
    "read_to_write",
    "write",
    "write_out",
]
