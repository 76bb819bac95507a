"""The memory engine: a mongomock store that can be read at any retained position of the oplog.

- `versions.py`: what things were like before recent writes (the undo log);
- `journal.py`: who numbers and remembers the writes while a simulation runs;
- `store.py`: mongomock's stores, with history;
- `documents.py`: how documents are copied and compared;
- `past.py`: those stores as they were at an earlier position;
- `transactions.py`: multi-document transactions; `private_stores.py`: what one sees;
- `collections.py`: mongomock's collections and databases on top of either;
- `library.py`: what differs between mongomock and mongomock-ng;
- `comparison.py`: reads that can be evaluated at two positions.

This room and the mongomock front are the only ones that use private names of those libraries.
"""
