"""What the reader thread hands over stays within its limit, however fast it writes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from kalshi_cli.exchange.stream.inbox import MAX_WAITING_BYTES, MessageQueue

LIMIT = 3


class Refilled(list[int]):
    """A batch that a quick writer follows with the next one while it is being read."""

    def __init__(self, inbox: MessageQueue[int], count: int) -> None:
        super().__init__([count])
        self._inbox, self._count = inbox, count

    def __iter__(self) -> Iterator[int]:
        if self._count < 50:
            self._inbox.put(Refilled(self._inbox, self._count + 1))
        return super().__iter__()


def test_a_writer_as_quick_as_the_reader_cannot_fill_the_memory_of_the_reader() -> None:
    inbox: MessageQueue[int] = MessageQueue(LIMIT)
    inbox.put(Refilled(inbox, 0))
    taken: deque[int] = deque()
    for _ in range(3):
        before = len(taken)
        inbox.take(taken)
        assert 1 <= len(taken) - before <= LIMIT
    assert list(taken) == list(range(len(taken)))


def test_what_waits_is_taken_at_once_up_to_the_limit_and_what_is_urgent_beyond_it() -> None:
    inbox: MessageQueue[int] = MessageQueue(LIMIT)
    assert [inbox.put([1, 2]), inbox.put([3, 4]), inbox.put([5]), inbox.put([6, 7], is_urgent=True)] == [
        True,
        False,
        True,
        True,
    ]
    taken: deque[int] = deque()
    inbox.take(taken)
    assert list(taken) == [1, 2, 5, 6, 7]
    assert len(inbox) == 0
    inbox.take(taken)
    inbox.wake()
    inbox.take(taken, 0.0)
    assert list(taken) == [1, 2, 5, 6, 7]


def test_few_messages_of_many_bytes_are_too_many() -> None:
    inbox: MessageQueue[int] = MessageQueue(LIMIT)
    most = MAX_WAITING_BYTES
    assert [inbox.put([1], most), inbox.put([2], 1), inbox.put([3]), inbox.put([4], 1, is_urgent=True)] == [
        True,
        False,
        True,
        True,
    ]
    taken: deque[int] = deque()
    inbox.take(taken)
    assert list(taken) == [1, 3, 4]
    assert inbox.put([5], most)
