"""Checks that the exchange knows the series, event or market of a list or a cancel.

A name with a typing error gives an empty list, which looks like the answer to the question that was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from kalshi_cli.base.errors import KalshiError, NotFoundError
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.services.resources import Resources

T = TypeVar("T")

WITHIN_S = 2.0
"""The longest time of the check after a command has done its work."""


def require_known(client: KalshiClient, *, series: str = "", event: str = "", ticker: str = "") -> None:
    """Raise NotFoundError if the exchange does not know one of these names; a ticker with a pattern is not checked."""
    with client.reading_within(WITHIN_S):
        if series:
            client.series(series)
        if event:
            client.event(event)
        if ticker and not set(ticker) & set("*?["):
            client.market(ticker)


def known_or_empty(client: KalshiClient, found: Iterable[T], *, series: str = "", event: str = "") -> Iterator[T]:
    """Yield what was found; if that is nothing, raise NotFoundError if the exchange does not know these names."""
    is_empty = True
    for item in found:
        is_empty = False
        yield item
    if is_empty:
        try:
            require_known(client, series=series, event=event)
        except NotFoundError:
            raise
        except KalshiError:
            pass  # the list is empty all the same


def note_unknown(resources: Resources, note: Callable[[str], None], *, event: str = "", ticker: str = "") -> None:
    """Note that the exchange does not know the event or market of an empty history; nothing if it cannot be asked."""
    try:
        require_known(resources.client, event=event, ticker=ticker)
    except NotFoundError as error:
        note(f"{error.message}; check the spelling")
    except KalshiError:
        pass
