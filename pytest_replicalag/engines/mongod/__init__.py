"""One real MongoDB node plays the whole set: a lagging secondary is its own past.

The node, a replica set of one member, reads its past itself: read concern `snapshot` with
`atClusterTime`, the optime that the simulated member has applied.
MongoDB manual, Read Concern "snapshot".

- `node.py`: where the node is, and whether it will do; `program.py`, `process.py`: one of the run's
  own; `early.py`: the same, before it is needed;
- `history.py`: the node's optimes; `snapshots.py`: commands that read its past; `replies.py`: what
  it tells of the time.
"""
