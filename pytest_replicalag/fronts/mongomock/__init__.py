"""The in-process front: routed subclasses of mongomock's client, database and collection.

They are clients, databases and collections of the library (`isinstance` holds). Each operation is
handed to the memory engine, which runs the library's own code on the primary's data or on a
secondary's; what the library refuses, it still refuses.

- `client.py`, `database.py`, `collection.py`, `cursor.py`, `change_stream.py`: the routed classes;
- `operations.py`: runs each operation; `outcome.py`: what a write returns or raises in the end;
  `bulk_write.py`: an ordered bulk write, command by command;
- `options.py`: read preference and concerns, as far as they were given;
- `session.py`, `transactions.py`, `in_transaction.py`: sessions, their transactions, and operations
  in them; `beside.py`: plain writes meanwhile;
- `known_primary.py`: which primary a client knows, after an election.
"""
