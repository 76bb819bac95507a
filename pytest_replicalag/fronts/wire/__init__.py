"""The wire front: a loopback endpoint for each member, for any real MongoDB driver.

- `protocol.py`: messages as bytes, and nothing else;
- `connection.py`: one connection: bytes in, commands answered one after the other, bytes out;
- `server.py`: the endpoints and their background thread;
- `commands.py`: which commands there are, and what each needs before it runs;
- `generic_fields.py`: what is checked in every command;
- `reads.py`, `writes.py`, `cursors.py`, `getmore.py`, `transactions.py`, `change_streams.py`,
  `session_commands.py`, `catalog.py`: what they do;
- `sessions.py`, `retryable_writes.py`: what is remembered of each logical session;
- `write_replies.py`: replies of writes, field by field;
- `handshake.py`, `status.py`: how the set presents itself;
- `simulated_set.py`: which member stands behind which endpoint, and logical times;
- `callers.py`: finds the application's line of code behind a command, in this process.
"""
