"""Price and fill alerts of the user: add, list and remove them, and check them without a loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from msgspec.structs import replace

from kalshi_cli.base import errors
from kalshi_cli.base.checked import check_choice, check_text, check_whole
from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts
from kalshi_cli.core.model.effects import AlertRaised, FillBooked
from kalshi_cli.core.model.markets import ENDED, MarketStatus
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.monitoring import price_alerts
from kalshi_cli.services.account.portfolio import positions_before
from kalshi_cli.services.markets.market_query import run_markets
from kalshi_cli.services.monitoring.alerts import alerting
from kalshi_cli.services.resources import Home, Resources
from kalshi_cli.services.trading.price_alerts import RUN_LOCK, PriceAlertWatch
from kalshi_cli.store.lock import lock
from kalshi_cli.store.user_files import PriceAlerts, price_alert_file
from kalshi_cli.views.alerts import PriceAlertRow
from kalshi_cli.views.row import Outcome

FIRED_CODES = (price_alerts.REACHED, price_alerts.FILLED)
"""The codes of an alert that the user asked for, unlike those about prices that cannot be read."""

MAX_ALERTS = 200
BUSY_S = 5.0
"""Seconds to wait for another program that changes the file."""

DELIVER_S = 5.0
NAP_S = 0.1
SEEN_FILLS = 5_000

Prices = Mapping[str, price_alerts.TopPrices]
Unread = Mapping[str, str]


class PriceAlertService:
    """The price and fill alerts of one home."""

    def __init__(self, resources: Resources, home: Home | None = None) -> None:
        self._resources = resources
        self._home = home or resources.home
        self._file = price_alert_file(self._home.folder)

    def list(self) -> Sequence[PriceAlertRow]:
        """Return the alerts that have not fired, in the order in which they were added."""
        return [_row(alert) for alert in self._file.read().alerts]

    def add(
        self,
        ticker: str,
        *,
        above: Price | None = None,
        below: Price | None = None,
        fills: bool = False,
        side: Outcome = "yes",
    ) -> PriceAlertRow:
        """Add an alert; its price is that of `side`. Where the same alert exists already, return that one.

        NotFoundError for an unknown market, UsageError for one where trading has ended: it could never fire.
        """
        if (above is not None) + (below is not None) + fills != 1:
            raise errors.UsageError(
                "Choose one: --above, --below or --fills", hint="kalshi alerts add TICKER --above 60c"
            )
        check_text("ticker", ticker)
        check_choice("side", side, ("yes", "no"))
        for name, each in (("above", above), ("below", below)):
            if each is not None:
                check_whole(name, each)
        price = above if above is not None else below
        if price is not None and not 0 < price < ONE_DOLLAR:
            raise errors.UsageError("The price must be between $0 and $1", hint="--above 60c")
        own = self._resources
        market = run_markets(own.client, own.clock.now(), [ticker], "")[0]
        if market.status in ENDED:
            raise errors.UsageError(
                f"{ticker} is {market.status.value}: trading has ended, and the alert could never fire",
                hint="kalshi markets --status open",
            )
        with self._file.changing(own.machine, BUSY_S) as draft:
            before = draft.value
            made = price_alerts.PriceAlert(
                alert_id=str(before.next_number), ticker=ticker, price=price, created=own.clock.now(), side=side,
                kind="above" if above is not None else "below" if below is not None else "fills",
            )  # fmt: skip
            for known in before.alerts:
                if replace(known, alert_id=made.alert_id, created=made.created) == made:
                    own.note(f"Alert {known.alert_id} is the same; none was added")
                    return _row(known)
            if len(before.alerts) >= MAX_ALERTS:
                raise errors.UsageError(f"There are {MAX_ALERTS} alerts already", hint="kalshi alerts remove ID")
            draft.value = PriceAlerts(before.next_number + 1, (*before.alerts, made))
        return _row(made)

    def met(self, row: PriceAlertRow) -> str:
        """Return how the prices of now meet the condition of an alert; "" where they do not, or cannot be read."""
        alerts = [each for each in self._file.read().alerts if each.alert_id == row.alert_id]
        try:
            found = list(self._resources.client.markets(tickers=[row.ticker])) if row.price is not None else []
        except (errors.ExchangeError, errors.UnreachableError):
            return ""
        prices = {each.ticker: price_alerts.TopPrices(each.yes_bid, each.yes_ask) for each in found}
        return next(
            (each.told.text for each in price_alerts.fired(alerts, prices, (), self._resources.clock.now())), ""
        )

    def remove(self, *ids: str) -> Sequence[PriceAlertRow]:
        """Remove alerts and return them. NotFoundError, and nothing is removed, if one does not exist."""
        with self._file.changing(self._resources.machine, BUSY_S) as draft:
            gone = [alert for alert in draft.value.alerts if alert.alert_id in ids]
            if missing := sorted(set(ids) - {alert.alert_id for alert in gone}):
                raise errors.NotFoundError(f"No price alert {', '.join(missing)}", hint="kalshi alerts prices")
            draft.value = PriceAlerts(
                draft.value.next_number, tuple(alert for alert in draft.value.alerts if alert not in gone)
            )
        return [_row(alert) for alert in gone]

    def run(self, every_s: float, is_stopped: Callable[[], bool]) -> Iterator[AlertRaised]:
        """Check the alerts every `every_s` seconds until stopped; send what is due, and yield it. Places nothing.

        AnotherInstanceError if it already runs for this home.
        """
        own, clock = self._resources, self._resources.machine
        try:
            with lock(self._home.folder / RUN_LOCK, own.clock), alerting(own, self._home) as alerts:
                watch = PriceAlertWatch(self._home.folder, alerts.store.alerts(), own.clock)
                reader = _ExchangeReader(own, watch)
                while not is_stopped():
                    for alert in watch.look(reader.read):
                        alerts.record(alert)
                        yield alert
                    alerts.look()
                    alerts.deliver(DELIVER_S)
                    until = clock.monotonic() + every_s
                    while not is_stopped() and clock.monotonic() < until:
                        clock.sleep(NAP_S)
        except errors.AnotherInstanceError as error:
            raise errors.AnotherInstanceError(
                "`kalshi alerts run` is already running for this account", hint="one is enough for all alerts"
            ) from error


def _row(alert: price_alerts.PriceAlert) -> PriceAlertRow:
    return PriceAlertRow.of(alert, side=None if alert.price is None else alert.side)


class _ExchangeReader:
    """Reads prices and fills from the exchange. Tells at once when that fails, and when it works again."""

    def __init__(self, resources: Resources, watch: PriceAlertWatch) -> None:
        self._resources = resources
        self._watch = watch
        self._seen: dict[str, None] = {}
        self._problem = ""

    def read(self, alerts: tuple[price_alerts.PriceAlert, ...]) -> tuple[Prices, Unread]:
        """Return the prices of the markets of these alerts, and why others are missing; note new fills."""
        priced = sorted({alert.ticker for alert in alerts if alert.price is not None})
        filled = {alert.ticker: alert.created for alert in reversed(alerts) if alert.price is None}
        try:
            prices, unread = self._prices(priced) if priced else ({}, {})
            for ticker, since in filled.items():
                self._note_fills(ticker, since)
        except (errors.ExchangeError, errors.UnreachableError) as error:
            if error.message != self._problem:
                self._resources.tell(f"Alerts cannot be checked: {error.message}")
            self._problem = error.message
            return {}, dict.fromkeys([*priced, *filled], error.message)
        if self._problem:
            self._resources.tell("Alerts are checked again")
            self._problem = ""
        return prices, unread

    def _prices(self, tickers: Sequence[str]) -> tuple[Prices, Unread]:
        found = {market.ticker: market for market in self._resources.client.markets(tickers=tickers)}
        prices, unread = dict[str, price_alerts.TopPrices](), dict[str, str]()
        for ticker in tickers:
            market = found.get(ticker)
            if market is None or market.status is not MarketStatus.ACTIVE:
                status = MarketStatus.UNKNOWN if market is None else market.status
                reason = f"the market is {status.value}"
                unread[ticker] = price_alerts.EndedReason(reason) if status in ENDED else reason
            else:
                prices[ticker] = price_alerts.TopPrices(market.yes_bid, market.yes_ask)
        return prices, unread

    def _order(self, order_id: str) -> Order | None:
        """Return an order as it is now; None if it cannot be read: the alert matters more."""
        with suppress(errors.KalshiError):
            return self._resources.client.order(order_id)
        return None

    def _note_fills(self, ticker: str, since: Ts) -> None:
        new = [fill for fill in self._resources.client.fills(ticker, since) if fill.trade_id not in self._seen]
        held = positions_before(self._resources.client.all_fills(ticker)[::-1]) if new else {}
        named = list(dict.fromkeys(fill.order_id for fill in reversed(new)))[: price_alerts.MAX_ORDERS]
        orders = {name: order for name in named if (order := self._order(name)) is not None}
        for fill in reversed(new):  # oldest first
            self._seen[fill.trade_id] = None
            self._watch.note(FillBooked(fill, orders.get(fill.order_id), held.get(fill.key, Qty(0))))
        while len(self._seen) > SEEN_FILLS:
            del self._seen[next(iter(self._seen))]
