"""The time of a recording in which a strategy did not have the outside data that it requested."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model import messages
from kalshi_cli.core.model.markets import Market
from kalshi_cli.feeds.replay import ENDED
from kalshi_cli.services.research.recorded_data import RECORDED
from kalshi_cli.services.research.report.unknown import DEFAULT_AGE_S, UnknownData

_EVENTS = (messages.Tick, messages.SpotPrice, messages.SpotUnavailable, messages.FeedGap, messages.RecordingEnded)
"""Messages at which the time without a price is counted."""


class OutsideGaps:
    """Counts the recorded time without a price of each coin, and recordings without any probability or news.

    `age_s` returns the largest age of a price of a coin, in seconds, that the strategies accepted so far; None if they
    did not ask. The time between recordings does not count, nor the time in which all markets of the coin have closed.
    The markets of a coin are those of a series with its name. A market of a series without any of the names counts for
    every coin.
    """

    def __init__(self, coins: Collection[str], others: Collection[type[messages.Message]]) -> None:
        self.coins = tuple(sorted(coins))
        self._others = others
        self._heard: set[type[messages.Message]] = set()
        self._is_recorded = False
        self._now = Ts(0)
        self._whole_ms = 0
        self._whole = dict.fromkeys(self.coins, 0)
        self._lost = dict.fromkeys(self.coins, 0)
        self._priced: dict[str, Ts] = {}
        self._closes = dict.fromkeys(self.coins, 0)
        self._valid_until = 0
        self.age_s: Callable[[str], float | None] = lambda _coin: None

    def follow(self, message: messages.Message) -> None:
        """Count the time up to a message, and learn from it what is known from then on."""
        if not self._is_recorded and isinstance(message, RECORDED) and message.ts:
            self._is_recorded, self._now = True, message.ts
        if isinstance(message, _EVENTS):
            self._count(message.ts)
        match message:
            case messages.SpotPrice():
                self._priced[message.symbol] = message.ts
            case messages.SpotUnavailable():
                self._priced.pop(message.symbol, None)
            case messages.FairValue():
                self._valid_until = max(self._valid_until, message.until or message.ts)
            case messages.NewsSignal() if self._is_recorded:
                self._heard.add(messages.NewsSignal)
            case messages.MarketChange():
                self._follow_close(message.market)
            case messages.RecordingEnded():
                self._is_recorded = False
            case messages.FeedGap():
                self._is_recorded &= message.reason != ENDED

    def _follow_close(self, market: Market) -> None:
        series = market.ticker.partition("-")[0]
        for coin in [coin for coin in self.coins if coin in series] or self.coins:
            self._closes[coin] = max(self._closes[coin], market.close_time)

    def _count(self, at: Ts) -> None:
        if not self._is_recorded or at <= self._now:
            return
        if self._valid_until >= self._now:
            self._heard.add(messages.FairValue)
        self._whole_ms += at - self._now
        for coin in self.coins:
            end = min(at, self._closes[coin])
            if end > self._now:
                fresh = self._priced.get(coin, -self._age_ms(coin)) + self._age_ms(coin)
                self._whole[coin] += end - self._now
                self._lost[coin] += max(0, end - max(self._now, fresh))
        self._now = at

    def _age_ms(self, coin: str) -> int:
        return round((self.age_s(coin) or DEFAULT_AGE_S) * 1000)

    def unknown(self) -> Iterator[UnknownData]:
        """Yield the time of each coin without a price, also if it is zero, so that those of several runs add up."""
        for kind in self._others:
            name = "probability" if kind is messages.FairValue else "news"
            whole_s = self._whole_ms / 1000
            yield UnknownData(
                words=f"{name}: none came in {{lost_of}} of recording; the strategy requested it",
                lost_s=0.0 if kind in self._heard else whole_s,
                whole_s=whole_s,
            )
        for coin in self.coins:
            yield UnknownData(
                words=f"outside price of {coin}: none of the last {{age}} in {{lost_of}} of recording; the strategy "
                "could not use it there",
                age_s=self.age_s(coin) or 0.0,
                lost_s=self._lost[coin] / 1000,
                whole_s=self._whole[coin] / 1000,
            )
