"""A list that is read one page ahead: in order, no further, with errors at their place."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from kalshi_cli.base.errors import UnreachableError
from kalshi_cli.exchange.endpoints.read_ahead import read_ahead


def settled() -> None:
    """Wait until nothing is read any more."""
    for thread in threading.enumerate():
        if thread.name == "read ahead":
            thread.join(timeout=10)
            assert not thread.is_alive()


def counted(asked: list[int], last: int, broken: int | None = None) -> Iterator[list[int]]:
    for number in range(last):
        asked.append(number)
        if number == broken:
            raise UnreachableError(f"page {number}")
        yield [number]


def test_every_page_comes_in_its_order() -> None:
    assert list(read_ahead(counted([], 5))) == [[0], [1], [2], [3], [4]]
    assert list(read_ahead(counted([], 0))) == []


def test_one_page_is_read_ahead_and_no_more() -> None:
    asked: list[int] = []
    pages = read_ahead(counted(asked, 5))
    assert asked == []
    assert next(pages) == [0]
    settled()
    assert asked == [0, 1]
    assert next(pages) == [1]
    settled()
    assert asked == [0, 1, 2]


def test_an_error_is_raised_after_the_pages_before_it() -> None:
    pages = read_ahead(counted([], 5, broken=2))
    assert [next(pages), next(pages)] == [[0], [1]]
    with pytest.raises(UnreachableError, match="page 2"):
        next(pages)


def test_an_error_of_any_kind_reaches_the_caller() -> None:
    def wrong() -> Iterator[int]:
        raise KeyError("a bug")
        yield 1

    with pytest.raises(KeyError, match="a bug"):
        next(read_ahead(wrong()))
