"""The queue from the reader thread to the main thread."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_WAITING_BYTES = 16 * 1024 * 1024
"""Bytes on the wire; decoded messages take up to nine times as much."""


class MessageQueue(Generic[T]):
    """A bounded queue of batches between one writer thread and one reader thread.

    It carries batches because a lock per message would cost more than the message. SimpleQueue allows `put` in a signal
    handler that interrupted a `get`, so `wake` is safe there.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batches: queue.SimpleQueue[tuple[Sequence[T], int]] = queue.SimpleQueue()
        self._put = self._put_bytes = 0  # written by the writer only
        self._taken = self._taken_bytes = 0  # written by the reader only

    def __len__(self) -> int:
        return max(0, self._put - self._taken)

    def put(self, batch: Sequence[T], size: int = 0, *, is_urgent: bool = False) -> bool:
        """Add a batch, without blocking; return False and drop it if its messages or `size` (bytes) exceed a limit.

        An urgent batch ignores the limits: the few messages that say why nothing more comes.
        """
        if not is_urgent and not self.has_room(len(batch), size):
            return False
        self._put += len(batch)
        self._put_bytes += size
        self._batches.put((batch, size))
        return True

    def has_room(self, count: int, size: int) -> bool:
        """Return whether this many messages of this many bytes fit."""
        waiting_bytes = self._put_bytes - self._taken_bytes
        return len(self) + count <= self._limit and waiting_bytes + size <= MAX_WAITING_BYTES

    def wake(self) -> None:
        """End a waiting `take`."""
        self._batches.put(((), 0))

    def take(self, into: deque[T], timeout_s: float = 0.0) -> None:
        """Append every waiting message; if the queue is empty, wait up to `timeout_s` for the first batch.

        Messages that arrive meanwhile wait for the next call, so that a fast writer cannot hold the reader in this
        loop.
        """
        try:
            batch, size = self._batches.get(timeout=timeout_s) if timeout_s > 0 else self._batches.get_nowait()
            for more in range(self._batches.qsize(), -1, -1):
                into.extend(batch)
                self._taken += len(batch)
                self._taken_bytes += size
                if more:
                    batch, size = self._batches.get_nowait()
        except queue.Empty:
            return
