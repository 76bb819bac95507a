"""The wire front over a real node: a loopback endpoint for each member passes messages on to it.

What must differ from the node's own answers is rewritten on the way; all else stays the bytes that
driver and node have sent.

- `connection.py`: one driver's connection, on a thread of its own, and `upstream.py`, its way on;
- `listener.py`: the endpoints;
- `front.py`: which command goes which way;
- `reads.py`, `writes.py`, `change_streams.py`: what is rewritten;
- `staleness.py`: whether a read was stale, and what it missed;
- `forwarded_set.py`: the set as its endpoints show it, at the node's optimes.
"""
