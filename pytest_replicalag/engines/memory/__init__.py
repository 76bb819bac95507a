"""The memory engine: a mongomock store that can be read at any retained position of the oplog.

- `engine.py`: one mongomock server's data;
- `versions.py`: what things were like before recent writes (the undo log); `journal.py`: who
  numbers and remembers the writes while a simulation runs;
- `store.py`, `database_history.py`: mongomock's stores, with history; `contents.py`: what they
  consist of; `past.py`: those stores as they were at an earlier position;
- `documents.py`: how documents are copied and compared;
- `transactions.py`: multi-document transactions; `private_stores.py`: what one sees;
- `collections.py`: mongomock's collections and databases on top of either; `bulk.py`,
  `partial_filters.py`: what they lack;
- `library.py`: what differs between mongomock and mongomock-ng;
- `comparison.py`: reads that can be evaluated at two positions; `matches.py`: what a filter said;
- `change_log.py`: what changed; `change_streams.py`, `change_stream_options.py`,
  `change_events.py`, `update_description.py`, `resume_tokens.py`: how streams show it;
- `commands/`: MongoDB's commands, executed on the library.

This room and the mongomock front are the only ones that use private names of those libraries.
"""
