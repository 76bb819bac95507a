"""The labels of errors, which say what may be sent again, and the errors that a server gives them.

Driver specification, Retryable Writes; Transactions; Change Streams.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "NON_RESUMABLE_STREAM",
    "RESUMABLE_STREAM",
    "RESUMABLE_STREAM_CODES",
    "RETRYABLE_WRITE",
    "RETRYABLE_WRITE_CODES",
    "TRANSIENT_TRANSACTION",
    "TRANSIENT_TRANSACTION_CODES",
    "UNKNOWN_COMMIT_RESULT",
]

RETRYABLE_WRITE: Final = "RetryableWriteError"
"""Send the same write, or end of a transaction, again."""

RETRYABLE_WRITE_CODES: Final = frozenset(
    {6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436}
)
"""Errors that carry it; in a transaction they are transient. Seen on MongoDB 6.0.5, which has one
less than the specification's list of what a driver retries: 134 is none of a write."""

TRANSIENT_TRANSACTION: Final = "TransientTransactionError"
"""Start the whole transaction again."""

TRANSIENT_TRANSACTION_CODES: Final = frozenset({24, 112, 239, 246, 251, 267})
"""Errors in a transaction that carry it, also those of its commit: lock and write conflicts,
snapshots that are not there, transactions that are gone. Seen on MongoDB 6.0.5."""

UNKNOWN_COMMIT_RESULT: Final = "UnknownTransactionCommitResult"
"""Commit once more, for it may or may not have been done; a driver's label."""

RESUMABLE_STREAM: Final = "ResumableChangeStreamError"
"""Open the change stream again, where it was."""

RESUMABLE_STREAM_CODES: Final = frozenset(
    {6, 7, 43, 63, 89, 91, 133, 150, 189, 234, 262, 9001, 10107, 11600, 11602, 13388, 13435, 13436}
)
"""Errors that carry it. Driver specification, Change Streams: Resumable Error."""

NON_RESUMABLE_STREAM: Final = "NonResumableChangeStreamError"
"""What the stream should go on from is not there any more."""
