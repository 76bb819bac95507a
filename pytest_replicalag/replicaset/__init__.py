"""The model of a MongoDB replica set: clock, oplog, lag, members, concerns, selection.

It knows neither pytest, mongomock, threads nor sockets, and holds no documents.

- `replica_set.py`: the set, and the majority commit point; `member.py`: one member;
- `clock.py`: who knows the time; `optime.py`, `oplog.py`: what was written, in its order;
  `changes.py`: what of it a member has not;
- `lag.py`, `replication.py`: how far a secondary has come; `explored.py`: the same, chosen by a
  schedule;
- `selection.py`, `choose.py`: which member serves a read;
- `read_concern.py`, `write_concern.py`: what a read may return, and when a write is acknowledged;
- `elections.py`: who becomes the primary, and what is rolled back;
- `server_errors.py`, `transaction_errors.py`, `error_labels.py`: what a server says.
"""
