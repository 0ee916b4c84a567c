"""What the reader thread hands to the main thread."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """A bounded queue of batches between one writer thread and one reader thread.

    Batches, because a lock per message would cost more than the message. Built on SimpleQueue, whose `put` may be
    called from a signal handler that interrupted a `get`: `wake` is safe there.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batches: queue.SimpleQueue[Sequence[T]] = queue.SimpleQueue()
        self._put = 0  # written by the writer only
        self._taken = 0  # written by the reader only

    def __len__(self) -> int:
        return max(0, self._put - self._taken)

    def put(self, batch: Sequence[T], *, is_urgent: bool = False) -> bool:
        """False, and nothing is kept of the batch, where it would exceed the limit. Never blocks.

        What is urgent is kept beyond the limit: the few words that say why nothing more comes.
        """
        if not is_urgent and len(self) + len(batch) > self._limit:
            return False
        self._put += len(batch)
        self._batches.put(batch)
        return True

    def wake(self) -> None:
        """End a `take` that waits."""
        self._batches.put(())

    def take(self, into: deque[T], timeout_s: float = 0.0) -> None:
        """Append everything that is there; where nothing is, wait up to `timeout_s` for the first batch.

        What arrives meanwhile waits for the next time: a writer as fast as this loop would else have no limit.
        """
        try:
            batch = self._batches.get(timeout=timeout_s) if timeout_s > 0 else self._batches.get_nowait()
            for more in range(self._batches.qsize(), -1, -1):
                into.extend(batch)
                self._taken += len(batch)
                if more:
                    batch = self._batches.get_nowait()
        except queue.Empty:
            return
