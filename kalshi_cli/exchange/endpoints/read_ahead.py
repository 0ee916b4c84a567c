"""Reads the next page of a list while the caller works on the last one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


def read_ahead(pages: Iterator[T]) -> Iterator[T]:
    """Yield the pages, each read by a thread, one page ahead of the caller. An error is raised at its place.

    The threads do not keep the program alive: after an interrupt nothing waits for the page that is on its way.
    """
    coming = _begin(pages)
    while True:
        page = coming.get()
        if isinstance(page, BaseException):
            raise page
        if page is None:
            return
        coming = _begin(pages)
        yield page


def _begin(pages: Iterator[T]) -> SimpleQueue[T | BaseException | None]:
    """Start reading the next page, and return the queue that will have it, None after the last page, or the error."""
    coming: SimpleQueue[T | BaseException | None] = SimpleQueue()

    def read() -> None:
        try:
            coming.put(next(pages, None))
        except BaseException as error:
            coming.put(error)

    threading.Thread(target=read, name="read ahead", daemon=True).start()
    return coming
