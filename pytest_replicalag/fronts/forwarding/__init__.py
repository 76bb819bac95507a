"""The wire front over a real node: a loopback endpoint for each member passes messages on to it.

What must differ from the node's own answers is rewritten on the way; all else stays the bytes that
driver and node have sent.

- `listener.py`: the endpoints; `connection.py`: one driver's connection, on a thread of its own,
  and `upstream.py`, its way on; `pauses.py`: where such a thread waits;
- `front.py`: which command goes which way; `request.py`: a command on its way; `sessions.py`: what
  is known of its session;
- `forwarded_set.py`: the set as its endpoints show it, at the node's optimes;
- `members_data.py`: how members show what they have: out of one node's past (`one_node.py`), or
  each as a node of its own (`own_nodes.py`);
- `reads.py`, `writes.py`, `outputs.py`, `change_streams.py`: what is rewritten; `counts.py`,
  `absent.py`: what the node does not do at an earlier optime;
- `staleness.py`: whether a read was stale, and what it missed; `describing.py`, `batches.py`: what
  it needs for that.
"""
