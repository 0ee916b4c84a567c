"""Price alerts in a loop: what is said of a market whose order book cannot be read."""

from __future__ import annotations

from pathlib import Path

from support.values import NOW, make_book, make_engine, make_market

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import cents
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.messages import MarketChange
from kalshi_cli.core.monitoring.price_alerts import PriceAlert
from kalshi_cli.services.trading.price_alerts import PriceAlertWatch
from kalshi_cli.store.user_files import PriceAlerts, price_alert_file


def test_a_loop_says_at_once_that_a_market_with_a_price_alert_has_ended(tmp_path: Path) -> None:
    clock, engine = SystemClock(), make_engine()
    alert = PriceAlert(alert_id="1", ticker="KXA-1", kind="above", price=cents(99), created=NOW)
    with price_alert_file(tmp_path).changing(clock, 0.0) as draft:
        draft.value = PriceAlerts(2, (alert,))
    watch = PriceAlertWatch(tmp_path, (), clock)
    engine.step(make_book())
    assert list(watch.look_in_loop(engine)) == []
    engine.step(MarketChange(NOW, make_market("KXA-1", status=MarketStatus.FINALIZED)))
    (told,) = watch.look_in_loop(engine)
    assert (told.code, told.subject) == ("PRICE_ALERT_BLIND", "KXA-1")
    assert told.text.endswith("the market is finalized")
    assert list(watch.look_in_loop(engine)) == [], "once"
