"""MongoDB's commands, executed on the library: documents in, documents out.

No sockets, no members and no concerns here: a command runs on the client it is given, which shows
the primary's data, an earlier position's or a transaction's.

- `fields.py`, `checks.py`: which fields each command may have, and what becomes of each;
- `names.py`, `types.py`: names that can be, and BSON's types as a server calls them;
- `reads.py`, `writes.py`, `catalog.py`: the commands;
- `errors.py`: the library's exceptions as a server's errors.
"""

from pytest_replicalag.engines.memory.commands.catalog import catalog
from pytest_replicalag.engines.memory.commands.checks import check_fields
from pytest_replicalag.engines.memory.commands.fields import COMMANDS, CommandFields
from pytest_replicalag.engines.memory.commands.lacking import LACKING
from pytest_replicalag.engines.memory.commands.names import check_database
from pytest_replicalag.engines.memory.commands.reads import read
from pytest_replicalag.engines.memory.commands.writes import Statement, write

__all__ = [
    "COMMANDS",
    "LACKING",
    "CommandFields",
    "Statement",
    "catalog",
    "check_database",
    "check_fields",
    "read",
    "write",
]
