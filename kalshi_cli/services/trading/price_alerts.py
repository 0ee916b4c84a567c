"""Price and fill alerts: raised from what a loop, or `kalshi alerts run`, knows of prices and fills."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import StateFileError
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AlertRaised, FillBooked
from kalshi_cli.core.model.markets import ENDED
from kalshi_cli.core.monitoring.price_alerts import (
    EndedReason,
    FiredAlert,
    PriceAlert,
    TopPrices,
    UnreadPrices,
    fired,
)
from kalshi_cli.store.lock import holder
from kalshi_cli.store.user_files import BUSY, PriceAlerts, UserFile, price_alert_file

RUN_LOCK = "alerts.lock"
"""Held by `kalshi alerts run`, which sees every market: a loop then leaves the unread ones to it."""

MAX_FILLS = 1_000
FILE = "price alerts"
"""The subject of an alert about the file itself."""


class PriceAlertWatch:
    """Checks the alerts of a state directory. An alert is recorded first, then removed from the file.

    `recorded` are the stored alerts, newest first.
    """

    def __init__(self, home: Path, recorded: Iterable[AlertRaised], clock: Clock) -> None:
        self._file: UserFile[PriceAlerts] = price_alert_file(home)
        self._run_lock = home / RUN_LOCK
        self._unread = UnreadPrices(recorded)
        self._fills: deque[FillBooked] = deque(maxlen=MAX_FILLS)
        self._clock = clock

    def note(self, fill: FillBooked) -> None:
        """Keep a fill of the account for the next look."""
        self._fills.append(fill)

    def look(
        self, read: Callable[[tuple[PriceAlert, ...]], tuple[Mapping[str, TopPrices], Mapping[str, str]]]
    ) -> Iterator[AlertRaised]:
        """Yield what is due; what was yielded counts as recorded.

        `read` takes the alerts, and returns the prices, and the reason for each market that cannot be checked.
        """
        now = self._clock.now()
        try:
            alerts = self._file.read().alerts
            prices, unread = read(alerts) if alerts else ({}, {})
            due = fired(alerts, prices, self._fills, now)
            if due:
                yield from self._fire(due)
            self._fills.clear()
        except StateFileError as error:
            unread = {} if error.code == BUSY else {FILE: error.message}
        yield from self._unread.look(unread, now)

    def _fire(self, due: list[FiredAlert]) -> Iterator[AlertRaised]:
        """Yield the alerts that no other program has fired meanwhile, then remove them."""
        with self._file.changing(self._clock, within_s=0.0) as draft:
            left = {alert.alert_id for alert in draft.value.alerts}
            mine = [each for each in due if each.alert.alert_id in left]
            for each in mine:
                yield each.told
            gone = {each.alert.alert_id for each in mine}
            kept = tuple(alert for alert in draft.value.alerts if alert.alert_id not in gone)
            draft.value = PriceAlerts(draft.value.next_number, kept)

    def look_in_loop(self, engine: TradingEngine) -> Iterator[AlertRaised]:
        """Yield what is due by the order books of a loop."""
        return self.look(lambda alerts: self._read_books(alerts, engine))

    def _read_books(
        self, alerts: tuple[PriceAlert, ...], engine: TradingEngine
    ) -> tuple[Mapping[str, TopPrices], Mapping[str, str]]:
        prices, unread, most = dict[str, TopPrices](), dict[str, str](), engine.limits.max_book_age_ms
        for ticker in {alert.ticker for alert in alerts if alert.price is not None}:
            book, age_ms = engine.state.books.get(ticker), engine.state.book_age_ms(ticker)
            market = engine.state.seen(ticker)
            if market is not None and market.status in ENDED:
                unread[ticker] = EndedReason(f"the market is {market.status.value}")
            elif book is None:
                unread[ticker] = "the loop does not follow this market; run `kalshi alerts run`"
            elif age_ms is None or (most is not None and age_ms > most):
                unread[ticker] = "its order book is not reliable"
            else:
                prices[ticker] = TopPrices(book.bid and book.bid.price, book.ask and book.ask.price)
        return prices, {} if unread and holder(self._run_lock) is not None else unread
