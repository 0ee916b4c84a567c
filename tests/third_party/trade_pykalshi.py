"""Trade on a served exchange with pykalshi 2.0.0, in an environment that has nothing of ours.

Called as `python trade_pykalshi.py LINE` with the JSON line of `kalshi sim serve --accounts 2`. Prints one JSON object
a call: its name, and what came of it. pykalshi takes the REST address as `api_base`; the address of its stream is a
constant of its module `feed`.
"""

import json
import sys
import time

import pykalshi.feed
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pykalshi import KalshiClient
from pykalshi.enums import CandlestickPeriod, MarketStatus, TimeInForce

served = json.loads(sys.argv[1])
pykalshi.feed.DEFAULT_WS_BASE = served["ws_url"]
one, two = (
    KalshiClient(account["key_id"], account["private_key_path"], api_base=served["rest_url"])
    for account in served["accounts"]
)


def call(name, what):
    """Do it, print what came of it, and return that."""
    found, error = None, ""
    for pause in (0.0, 1.0):
        time.sleep(pause)
        try:
            found, error = what(), ""
            break
        except Exception as caught:
            error = f"{type(caught).__name__}: {caught}"[:300]
            if "too many" not in error:
                break
    print(json.dumps({"call": name, "error": error, "result": str(found)[:80]}), flush=True)
    return found


def first(rows):
    """Return the first row, or None."""
    return rows[0] if rows is not None and len(rows) else None


now = int(time.time())
hour = CandlestickPeriod.ONE_MINUTE
market = call("get_markets", lambda: one.get_markets(series_ticker="KXINX", status=MarketStatus.OPEN, limit=1000))[3]
name, event = market.ticker, market.event_ticker
call("get_markets(all)", lambda: one.get_markets(fetch_all=True))
call("get_market", lambda: one.get_market(name))
call("get_events", lambda: one.get_events(limit=200))
found_event = call("get_event", lambda: one.get_event(event))
call("Event.get_markets", found_event.get_markets)
call("Event.get_series", found_event.get_series)
call("get_series", lambda: one.get_series("KXINX"))
call("get_all_series", lambda: one.get_all_series())
call("get_trades", lambda: one.get_trades(limit=50))
call("get_candlesticks_batch", lambda: one.get_candlesticks_batch([name], now - 3_600, now, hour))
call("Market.get_orderbook", market.get_orderbook)
call("Market.get_candlesticks", lambda: market.get_candlesticks(now - 3_600, now, hour))
call("Market.get_trades", lambda: market.get_trades(limit=10))
call("Market.get_event", market.get_event)
call("get_multivariate_events", lambda: one.get_multivariate_events())
collection = first(call("get_mve_collections", lambda: one.get_mve_collections()))
call("get_mve_collection", lambda: one.get_mve_collection(collection.collection_ticker))
call("exchange.get_status", one.exchange.get_status)
call("exchange.is_trading", one.exchange.is_trading)
call("exchange.get_schedule", one.exchange.get_schedule)
call("exchange.get_user_data_timestamp", one.exchange.get_user_data_timestamp)
call("history.get_cutoff", one.history.get_cutoff)
call("history.get_markets", lambda: one.history.get_markets())
call("history.get_fills", lambda: one.history.get_fills())
call("history.get_orders", lambda: one.history.get_orders())
call("history.get_trades", lambda: one.history.get_trades())

heard = {}
feed = one.feed()
CHANNELS = {
    "ticker": "ticker",
    "orderbook_delta": "orderbook_snapshot",
    "trade": "trade",
    "fill": "fill",
    "user_orders": "user_order",
    "market_positions": "market_position",
    "order_group_updates": "order_group_updates",
    "market_lifecycle_v2": "market_lifecycle_v2",
    "communications": "rfq_created",
}
for channel in CHANNELS:
    feed.on(channel, lambda message, channel=channel: heard.setdefault(channel, message))
call("feed.start", feed.start)
until = time.monotonic() + 20
while not feed.is_connected and time.monotonic() < until:
    time.sleep(0.05)
for channel in CHANNELS:
    names = [name] if channel in ("orderbook_delta", "ticker", "trade") else None
    call(f"feed.subscribe({channel})", lambda c=channel, names=names: feed.subscribe(c, market_tickers=names))
time.sleep(1)

p, q = one.portfolio, two.portfolio
call("get_balance", p.get_balance)
order = call("place_order", lambda: p.place_order(name, book_side="bid", count_fp="5.00", price_dollars="0.01"))
call("get_order", lambda: p.get_order(order.order_id))
call("get_orders", lambda: p.get_orders())
call("get_queue_position", lambda: p.get_queue_position(order.order_id))
call("get_queue_positions", lambda: p.get_queue_positions(market_tickers=[name]))
call("get_resting_order_value", p.get_resting_order_value)
call("amend_order", lambda: p.amend_order(order.order_id, count_fp="4.00", price_dollars="0.02"))
call("decrease_order", lambda: p.decrease_order(order.order_id, "1.00"))
call("Order.refresh", order.refresh)
call("cancel_order", lambda: p.cancel_order(order.order_id))
line = {"ticker": name, "action": "buy", "side": "yes", "count_fp": "1.00", "yes_price_dollars": "0.01"}
batch = call("batch_place_orders", lambda: p.batch_place_orders([line, line]))
call("batch_cancel_orders", lambda: p.batch_cancel_orders([each.order_id for each in batch]))
group = call("create_order_group", lambda: p.create_order_group("50.00"))
group_id = group.id if getattr(group, "id", None) else group.order_group_id
call("get_order_groups", p.get_order_groups)
call("get_order_group", lambda: p.get_order_group(group_id))
call("update_order_group_limit", lambda: p.update_order_group_limit(group_id, "60.00"))
call("trigger_order_group", lambda: p.trigger_order_group(group_id))
call("reset_order_group", lambda: p.reset_order_group(group_id))
time.sleep(1)

# The two accounts meet inside the spread, so that nobody of the world is in between.
quoted = one.get_market(name)
ask = round((float(quoted.yes_bid_dollars) + 0.01) * 100)
price = f"{max(2, ask) / 100:.2f}"
call("place_order(maker)", lambda: q.place_order(name, book_side="ask", count_fp="3.00", price_dollars=price))
taken = call(
    "place_order(taker)",
    lambda: p.place_order(name, book_side="bid", count_fp="3.00", price_dollars="0.99", time_in_force=TimeInForce.IOC),
)
call("get_fills", lambda: p.get_fills())
call("get_positions", lambda: p.get_positions())
call("get_settlements", lambda: p.get_settlements())
c, d = one.communications, two.communications
asked = call("create_rfq", lambda: c.create_rfq(name, contracts_fp="2.00"))
call("get_rfqs", lambda: c.get_rfqs())
call("get_rfq", lambda: c.get_rfq(asked.rfq_id))
answer = call("create_quote", lambda: d.create_quote(asked.rfq_id, yes_bid="0.02", no_bid="0.90"))
call("get_quotes", lambda: c.get_quotes(rfq_id=asked.rfq_id))
path = f"/communications/rfqs/{asked.rfq_id}/quotes/{answer.quote_id}"
call("put(accept quote)", lambda: one.put(f"{path}/accept", {"accepted_side": "no"}))
call("put(confirm quote)", lambda: two.put(f"{path}/confirm", {}))
call("api_keys.list", one.api_keys.list)
call("api_keys.get_limits", one.api_keys.get_limits)
pem = rsa.generate_private_key(65_537, 2048).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
made = call("api_keys.create", lambda: one.api_keys.create(pem.decode(), "mine"))
call("api_keys.generate", lambda: one.api_keys.generate("theirs"))
call("api_keys.delete", lambda: one.api_keys.delete(made))
call("get_subaccount_balances", p.get_subaccount_balances)
call("get_subaccount_transfers", lambda: p.get_subaccount_transfers())
call("get_subaccount_netting", p.get_subaccount_netting)
call("post(upgrade)", lambda: one.post("/account/api_usage_level/upgrade", {}))
call("create_subaccount", lambda: p.create_subaccount())
call("transfer_between_subaccounts", lambda: p.transfer_between_subaccounts(0, 1, 100))
call("update_subaccount_netting", lambda: p.update_subaccount_netting(1, True))
time.sleep(2)
for channel in ("ticker", "orderbook_delta", "fill", "user_orders", "market_positions", "order_group_updates"):
    call(f"heard({channel})", lambda channel=channel: heard[channel])
call("feed.stop", feed.stop)
