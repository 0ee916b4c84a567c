"""What every group of calls shares: one signed request, a list read to its end, names inside paths.

Lists are complete or they are an error: a page that fails, a cursor that comes twice or a list without end never yields
a short list that looks whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import TypeVar
from urllib.parse import quote

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import NotFoundError, OutcomeUnknownError, RefusedError, UnreachableError, UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.exchange.rest.call import READ, Params, RestTransport
from kalshi_cli.exchange.rest.rate_limits import RateLimiter
from kalshi_cli.exchange.wire.values import Page, ResponseFormatError

T = TypeVar("T")

PAGE = 1000
MAX_PAGES = 5000
MAX_EMPTY_PAGES = 20
"""Pages in a row without an item: a list that goes on and says nothing."""
ACCOUNT_LIST_S = 600.0
"""Seconds for a whole list of the account."""
NAMES_A_CALL = 100


class Endpoints:
    """Base of the groups: `market_calls`, `order_calls`, ... `KalshiClient` is all of them in one."""

    def __init__(self, rest: RestTransport, clock: Clock, limiter: RateLimiter) -> None:
        self._rest = rest
        self._clock = clock
        self._limiter = limiter
        self.lock: int | None = None
        """The subaccount that the key is locked to, as far as it is known; None where it may name any."""

    def whose(self, subaccount: int | None) -> int | None:
        """The subaccount that is meant: the one named, else that of the key; None where neither says.

        RefusedError where the key is locked to another one: the exchange would answer 403.
        """
        if subaccount is None:
            return self.lock
        if self.lock not in (None, subaccount):
            raise RefusedError(
                f"the API key is locked to subaccount {self.lock}, nothing is done in subaccount {subaccount}",
                hint=f"leave --subaccount out, or use a key of subaccount {subaccount}: kalshi keys",
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
    ) -> Iterator[T]:
        """A list, `limit` items of it or all; `most` is the largest page of this endpoint (over it: 400).

        WireError where the list has more than `most_items`.

        The pages of a whole list of the account have another size each time, so that nothing on the way which keeps
        replies has been asked the same before.
        """
        whole = most if is_public else most - self._clock.now() % (most * 2 // 5 - 1)
        size = whole if limit is None else max(1, min(limit, most))
        items = self._all_pages(path, {**params, "limit": size}, read, is_public, most_items)
        return islice(items, limit)

    def _all_pages(
        self,
        path: str,
        params: Params,
        read: Callable[[bytes], Page[T]],
        is_public: bool,
        most_items: int | None = None,
    ) -> Iterator[T]:
        seen: set[str] = set()
        cursor: str | None = None
        until = math.inf if is_public else self._clock.monotonic() + ACCOUNT_LIST_S
        count = empty = 0
        for _ in range(MAX_PAGES):
            if self._clock.monotonic() >= until:
                raise UnreachableError(f"GET {path}: the list takes longer to read than it may", code="too_slow")
            page = read(self._get(path, {**params, "cursor": cursor}, is_public=is_public))
            count, empty = count + len(page.items), 0 if page.items else empty + 1
            if most_items is not None and count > most_items:
                raise ResponseFormatError(f"{path}: the list has more than {most_items:,} items", code="too_many_items")
            yield from page.items
            cursor = page.cursor
            if not cursor:
                return
            if cursor in seen or empty == MAX_EMPTY_PAGES:
                raise ResponseFormatError(
                    f"{path}: the list repeats itself and cannot be read to its end", code="cursor_loop"
                )
            seen.add(cursor)
        raise ResponseFormatError(f"{path}: the list has more than {MAX_PAGES} pages", code="too_many_pages")


def seconds(ts: Ts | None) -> int | None:
    """Filters are in whole seconds; rounding down never leaves anything out of a `min`."""
    return None if ts is None else ts // 1000


def quote_part(name: str) -> str:
    """A ticker or id inside a path. An empty one would turn the cancel of one order into that of all."""
    if not name or name.strip(".") == "":
        raise UsageError(f"not a ticker or an id: {name!r}", hint="kalshi markets and kalshi events list tickers")
    return quote(name, safe="")


@contextmanager
def missing(text: str, hint: str) -> Iterator[None]:
    """A 404 in a person's words."""
    try:
        yield
    except NotFoundError as error:
        raise NotFoundError(text, hint=hint, code=error.code, status=error.status) from error


def not_found_as(ticker: str) -> AbstractContextManager[None]:
    """A 404 of a market in a person's words."""
    return missing(f"there is no market {ticker}", "kalshi markets --search TEXT")


@contextmanager
def understood(subject: str, hint: str = "") -> Iterator[None]:
    """Turn the answer to a write that cannot be read into OutcomeUnknownError."""
    try:
        yield
    except ResponseFormatError as error:
        raise unreadable_reply_error(subject, error, hint) from error


def unreadable_reply_error(subject: str, error: ResponseFormatError, hint: str = "") -> OutcomeUnknownError:
    """A write was answered with something that cannot be read; without a `hint` that is kept with the order."""
    said = f"; the reply was {error.said}" if error.said else "; the reply was empty"
    return OutcomeUnknownError(
        f"{subject}: it is not known whether this happened. {error}{'' if hint else said}",
        hint=hint or "run `kalshi order reconcile` before anything else",
    )
