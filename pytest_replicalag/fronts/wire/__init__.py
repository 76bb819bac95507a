"""The wire front: a loopback endpoint for each member, for any real MongoDB driver.

Bytes and connections:

- `protocol.py`: messages as bytes, and nothing else; `codec.py`: commands and replies as documents;
- `server.py`: the endpoints and their background thread; `connection.py`: one connection: bytes in,
  commands answered one after the other, bytes out; `front.py`: what answers the messages of all;
- `bad_messages.py`, `error_replies.py`: what is answered to what is wrong.

The set and its clients:

- `endpoint_set.py`, `simulated_set.py`: which member stands behind which endpoint, and logical
  times;
- `handshake.py`, `introductions.py`, `status.py`, `authentication.py`: how the set and its clients
  present themselves;
- `clients.py`, `peer.py`: what is known of a client; `callers.py`: finds the application's line of
  code behind a command, in this process.

Commands:

- `commands.py`: which commands there are, and what each needs before it runs; `unknown.py`: the
  others;
- `request.py`, `requests.py`: a command on its way; `kinds.py`: what kind of command it is;
- `generic_fields.py`, `concern_fields.py`, `stable_api.py`: what is checked in every command;
- `read_preferences.py`: which member serves a read; `reply_times.py`: the time that a reply tells;
- `reads.py`, `writes.py`, `cursors.py`, `getmore.py`, `transactions.py`, `change_streams.py`,
  `outputs.py`, `session_commands.py`, `catalog.py`, `step_down.py`: what they do;
- `stream_patience.py`: how long a change stream waits for its events;
- `sessions.py`, `retryable_writes.py`: what is remembered of each logical session;
- `write_replies.py`: replies of writes, field by field;
- `fail_points.py`: commands that fail as a test wants them to.
"""
