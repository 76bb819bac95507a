"""The wire front: a loopback endpoint for each member, for any real MongoDB driver.

- `protocol.py`: messages as bytes, and nothing else;
- `connection.py`: one connection: bytes in, commands answered one after the other, bytes out;
- `server.py`: the endpoints and their background thread;
- `commands.py`: which commands there are, and what each needs before it runs;
- `reads.py`, `writes.py`, `cursors.py`, `sessions.py`, `change_streams.py`: what they do;
- `handshake.py`, `status.py`: how the set presents itself;
- `times.py`: logical times, which never go back although each test's oplog starts anew;
- `callers.py`: finds the application's line of code behind a command, in this process.
"""
