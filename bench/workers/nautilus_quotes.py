"""The same quotes and decisions through nautilus_trader's backtest engine, with its risk engine, fees and account."""

from collections.abc import Callable
from decimal import Decimal

from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import QuoteTick, TradeTick
from nautilus_trader.model.enums import AccountType, AggressorSide, AssetClass, OmsType, OrderSide, TimeInForce
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import BinaryOption
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

from bench.quotes import BUY_AT, SELL_AT, SIZE, quotes
from bench.worker import serve

VENUE = Venue("KALSHI")
NAME = InstrumentId(Symbol("KXA-26MAY01-T1"), VENUE)


class Bands(Strategy):
    """Buys low and sells high."""

    def __init__(self, config=None):  # type: ignore[no-untyped-def]
        super().__init__(config)
        self.low, self.high = Price(BUY_AT / 100, 2), Price(SELL_AT / 100, 2)
        self.size = Quantity(SIZE, 0)
        self.fills: list[tuple[int, int]] = []

    def on_start(self):  # type: ignore[no-untyped-def]
        self.subscribe_quote_ticks(NAME)

    def on_quote_tick(self, tick):  # type: ignore[no-untyped-def]
        if tick.ask_price <= self.low:
            if self.portfolio.is_flat(NAME):
                self.send(OrderSide.BUY, tick.ask_price)
        elif tick.bid_price >= self.high and not self.portfolio.is_flat(NAME):
            self.send(OrderSide.SELL, tick.bid_price)

    def send(self, side, price):  # type: ignore[no-untyped-def]
        order = self.order_factory.limit(NAME, side, self.size, price, time_in_force=TimeInForce.IOC)
        self.submit_order(order)

    def on_order_filled(self, event):  # type: ignore[no-untyped-def]
        self.fills.append((round(event.last_px.as_double() * 100), round(event.last_qty.as_double())))


def instrument() -> BinaryOption:
    return BinaryOption(
        instrument_id=NAME, raw_symbol=NAME.symbol, outcome="Yes", description="?", asset_class=AssetClass.ALTERNATIVE,
        currency=USD, price_precision=2, price_increment=Price(0.01, 2), size_precision=0,
        size_increment=Quantity(1, 0), activation_ns=0, expiration_ns=2**62, max_quantity=None,
        min_quantity=Quantity(1, 0), maker_fee=Decimal("0.0175"), taker_fee=Decimal("0.07"), ts_event=0, ts_init=0,
    )  # fmt: skip


def work(trade_every: int) -> Callable[[int], Callable[[], str]]:
    def prepare(count: int) -> Callable[[], str]:
        data: list[object] = []
        ask = None
        for number, quote in enumerate(quotes(count, trade_every)):
            ns = quote.ts * 1_000_000
            if quote.trade:
                at = Price((ask or quote.ask) / 100, 2)
                data.append(
                    TradeTick(NAME, at, Quantity(quote.trade, 0), AggressorSide.BUYER, TradeId(f"t{number}"), ns, ns)
                )
            bid_px, ask_px = Price(quote.bid / 100, 2), Price(quote.ask / 100, 2)
            data.append(
                QuoteTick(NAME, bid_px, ask_px, Quantity(quote.bid_size, 0), Quantity(quote.ask_size, 0), ns, ns)
            )
            ask = quote.ask
        engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
        engine.add_venue(
            venue=VENUE, oms_type=OmsType.NETTING, account_type=AccountType.CASH, base_currency=USD,
            starting_balances=[Money(10_000, USD)],
        )  # fmt: skip
        engine.add_instrument(instrument())
        engine.add_data(data)
        strategy = Bands(StrategyConfig())
        engine.add_strategy(strategy)

        def run() -> str:
            engine.run()
            return f"{len(strategy.fills)} {sum(price * qty for price, qty in strategy.fills)}"

        return run

    return prepare


serve({"quotes": work(0), "quotes_and_trades": work(100)}, str)
