"""Common parts of every endpoint group: a signed request, complete lists, names in paths.

A list is complete or an error: a failed page, a repeated cursor or an endless list never yields a short list that looks
whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import chain, islice
from typing import TypeVar
from urllib.parse import quote

from kalshi_cli.base.checked import check_limit
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import NotFoundError, OutcomeUnknownError, RefusedError, UnreachableError, UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.exchange.endpoints.read_ahead import read_ahead
from kalshi_cli.exchange.rest.call import READ, Params, RestTransport
from kalshi_cli.exchange.rest.rate_limits import RateLimiter
from kalshi_cli.exchange.wire.values import Page, ResponseFormatError

T = TypeVar("T")

PAGE = 1000
MAX_PAGES = 5000
MAX_EMPTY_PAGES = 20
"""Maximum pages in a row without an item."""
ACCOUNT_LIST_S = 600.0
"""Seconds for a whole list of the account."""
NAMES_A_CALL = 100


class Endpoints:
    """Base of the endpoint groups; `KalshiClient` combines all of them."""

    def __init__(self, rest: RestTransport, clock: Clock, limiter: RateLimiter) -> None:
        self._rest = rest
        self._clock = clock
        self._limiter = limiter
        self.lock: int | None = None
        """The only subaccount that the key may use, as far as it is known; None if it may use any."""

    def whose(self, subaccount: int | None) -> int | None:
        """Return the subaccount that is meant: the one given, else that of the key; None if neither names one.

        RefusedError if the key is restricted to another one: the exchange would answer 403.
        """
        if subaccount is None:
            return self.lock
        if self.lock not in (None, subaccount):
            raise RefusedError(
                f"The API key is restricted to subaccount {self.lock}; nothing was done in subaccount {subaccount}",
                hint=f"omit --subaccount, or use a key of subaccount {subaccount}: kalshi keys",
                code="KEY_SUBACCOUNT",
            )
        return subaccount

    def _get(self, path: str, params: Params | None = None, *, is_public: bool = False) -> bytes:
        return self._rest.call("GET", path, READ, params=params, is_public=is_public)

    def _public(self, path: str, params: Params | None = None) -> bytes:
        return self._get(path, params, is_public=True)

    def _pages(
        self,
        path: str,
        params: Params,
        read: Callable[[bytes], Page[T]],
        limit: int | None = None,
        *,
        is_public: bool = False,
        most: int = PAGE,
        most_items: int | None = None,
        is_ahead: bool = False,
    ) -> Iterator[T]:
        """Return a list, or `limit` items of it; `most` is the endpoint's largest page (beyond it: 400).

        ResponseFormatError if the list has more than `most_items`. The pages of a whole account list have a different
        size each time, so that no cache on the way has seen the same request before. With `is_ahead` a thread reads the
        next page while the caller works on the last one.
        """
        check_limit(limit)
        whole = most if is_public else most - self._clock.now() % (most * 2 // 5 - 1)
        size = whole if limit is None else max(1, min(limit, most))
        pages = self._each_page(path, {**params, "limit": size}, read, is_public, most_items)
        return islice(chain.from_iterable(read_ahead(pages) if is_ahead else pages), limit)

    def _each_page(
        self,
        path: str,
        params: Params,
        read: Callable[[bytes], Page[T]],
        is_public: bool,
        most_items: int | None,
    ) -> Iterator[list[T]]:
        seen: set[str] = set()
        cursor: str | None = None
        until = math.inf if is_public else self._clock.monotonic() + ACCOUNT_LIST_S
        count = empty = 0
        for _ in range(MAX_PAGES):
            if self._clock.monotonic() >= until:
                raise UnreachableError(f"GET {path}: reading the list exceeded its time limit", code="too_slow")
            page = read(self._get(path, {**params, "cursor": cursor}, is_public=is_public))
            count, empty = count + len(page.items), 0 if page.items else empty + 1
            if most_items is not None and count > most_items:
                raise ResponseFormatError(f"{path}: the list has more than {most_items:,} items", code="too_many_items")
            cursor = page.cursor
            yield page.items
            if not cursor:
                return
            if cursor in seen or empty == MAX_EMPTY_PAGES:
                raise ResponseFormatError(f"{path}: the list repeats and has no end", code="cursor_loop")
            seen.add(cursor)
        raise ResponseFormatError(f"{path}: the list has more than {MAX_PAGES} pages", code="too_many_pages")


def seconds(ts: Ts | None) -> int | None:
    """Return whole seconds for a filter; rounding down never excludes anything from a `min`."""
    return None if ts is None else ts // 1000


def quote_part(name: str) -> str:
    """Return a ticker or id for a path. An empty one would turn the cancel of one order into that of all."""
    if not name or name.strip(".") == "":
        raise UsageError(f"Invalid ticker or id: {name!r}", hint="`kalshi markets` and `kalshi events` list tickers")
    return quote(name, safe="")


@contextmanager
def missing(text: str, hint: str) -> Iterator[None]:
    """Replace the text of a 404."""
    try:
        yield
    except NotFoundError as error:
        raise NotFoundError(text, hint=hint, code=error.code, status=error.status) from error


def not_found_as(ticker: str) -> AbstractContextManager[None]:
    """Replace the text of a 404 of a market."""
    hint = "`kalshi markets --search TEXT`"
    if ticker.count("-") < 2 and ticker.replace("-", "").isalnum() and ticker.isascii():
        kind = "event" if "-" in ticker else "series"
        hint += f", or `kalshi markets --{kind} {ticker}` if that is {'an event' if kind == 'event' else 'a series'}"
    elif ticker.count("-") >= 2 and ticker.replace("-", "").replace(".", "").isalnum() and ticker.isascii():
        event = ticker.rpartition("-")[0]
        hint = f"`kalshi event {event}` lists the markets of its event, if there is one; for others: {hint}"
    return missing(f"No market {ticker}", hint)


@contextmanager
def understood(subject: str, hint: str = "") -> Iterator[None]:
    """Turn an unreadable response to a write into OutcomeUnknownError."""
    try:
        yield
    except ResponseFormatError as error:
        raise unreadable_reply_error(subject, error, hint) from error


def unreadable_reply_error(subject: str, error: ResponseFormatError, hint: str = "") -> OutcomeUnknownError:
    """Return the error for an unreadable response to a write; without a `hint` it quotes the response."""
    said = f"; response: {error.said}" if error.said else "; the response was empty"
    return OutcomeUnknownError(
        f"{subject}: outcome unknown. {error}{'' if hint else said}",
        hint=hint or "run `kalshi order reconcile` first",
    )
