"""Mutants of bookkeeping: fills, orders, order books, and paper."""

from __future__ import annotations

from verification.mutants.mutant import Mutant

BOOKS = (
    Mutant(
        "a fill is booked once",
        "position and profit count it twice (F23)",
        "core/account/ledger.py",
        "        if fill.key in self._booked:\n            return False\n",
        "",
        ("tests/core/account/test_ledger.py",),
    ),
    Mutant(
        "a trade between two orders of ours is two fills",
        "one of them is never booked, and the position is wrong (I-FILL)",
        "core/model/orders.py",
        "        return (self.trade_id, self.order_id)",
        '        return (self.trade_id, "")',
        ("tests/core/account/test_ledger.py",),
    ),
    Mutant(
        "an order counts a fill once",
        "filled runs ahead, and exposure is released (F23)",
        "core/account/tracked_order.py",
        "        if fill.trade_id in self.trades:\n            return False\n",
        "",
        ("tests/core/account/test_order_index.py",),
    ),
    Mutant(
        "a list that repeats itself is an error",
        "a list is read for ever, or believed short (F39)",
        "exchange/endpoints/base.py",
        "            if cursor in seen or empty",
        "            if empty",
        ("tests/exchange/test_client.py",),
    ),
    Mutant(
        "a list that is cut short is an error",
        "a part is taken for the whole, and absence for proof (F39)",
        "exchange/endpoints/base.py",
        '            page = read(self._get(path, {**params, "cursor": cursor}, is_public=is_public))',
        "            try:\n"
        '                page = read(self._get(path, {**params, "cursor": cursor}, is_public=is_public))\n'
        "            except Exception:\n"
        "                return",
        ("tests/exchange/test_client.py", "tests/services/account/test_recovery.py"),
    ),
    Mutant(
        "a missing fee is an error",
        "a fee of nothing is booked (F52)",
        "exchange/wire/orders.py",
        '    fee: values.Dollars = field(name="fee_cost")\n    ts: values.Moment = field(name="created_time")\n',
        '    ts: values.Moment = field(name="created_time")\n'
        '    fee: values.Dollars = field(name="fee_cost", default="0")\n',
        ("tests/exchange/wire/test_missing_money.py",),
    ),
    Mutant(
        "a gap makes the book unusable",
        "orders are priced from a book that never was (F34)",
        "core/engine/market_updates.py",
        "                self.state.books[ticker].invalidate(message.reason)",
        "                pass",
        ("tests/core/engine/test_engine.py",),
    ),
    Mutant(
        "a read is compared below the best price",
        "a book that is wrong further down is traded on (F32)",
        "core/engine/book_validity.py",
        "    if views and reads:",
        "    if False:",
        ("tests/core/engine/test_book_validity.py",),
    ),
    Mutant(
        "what moved since a read is no contradiction",
        "a good book is thrown away again and again (F32)",
        "core/engine/market_updates.py",
        "        if self.book_watch.differing:",
        "        if False:",
        ("tests/core/engine/test_book_validity.py",),
    ),
    Mutant(
        "a gap in the numbers is a gap",
        "a missed change goes unnoticed (F34)",
        "exchange/stream/sequencing.py",
        "        if last is None or seq == last + 1:",
        "        if last is None or seq > last:",
        ("tests/exchange/stream/test_sequencing.py",),
    ),
    Mutant(
        "a frame that comes twice is ignored",
        "its change is made twice (F34)",
        "exchange/stream/sequencing.py",
        "        if seq <= last and not self._is_answer(subscription, frame):\n            return None",
        "        if seq <= last and not self._is_answer(subscription, frame):\n            return []",
        ("tests/exchange/stream/test_sequencing.py",),
    ),
    Mutant(
        "what may be live comes before what ended the run",
        "a refused key ends a run with 5 while its orders rest (F79)",
        "services/trading/stop_signals.py",
        "    if live:\n"
        "        return error if isinstance(error, OutcomeUnknownError) else orders_left_live(live, error)",
        "    if live and isinstance(error, KeyboardInterrupt):\n        return orders_left_live(live, error)",
        ("tests/services/trading/test_wind_down.py",),
    ),
    Mutant(
        "a start that ends cancels what an earlier run left",
        "a signal during the reconciliation leaves orders live (F79)",
        "services/trading/wind_down.py",
        "            if cancel is not None and left_on_file(store):\n                cancel()",
        "            pass",
        ("tests/services/trading/test_wind_down.py",),
    ),
    Mutant(
        "a signal cuts off no cancels of a start",
        "a second SIGTERM ends it before they are sent (F79)",
        "services/trading/wind_down.py",
        "        signals.pass_to(lambda _command: None)  #",
        "        #",
        ("tests/services/trading/test_wind_down.py",),
    ),
    Mutant(
        "a run that left orders live did not end in order",
        "status hides that orders may be live (F79)",
        "store/records.py",
        "        return not self.is_running and self.exit_code != ExitCode.UNKNOWN_OUTCOME",
        "        return not self.is_running",
        ("tests/services/trading/test_wind_down.py",),
    ),
    Mutant(
        "a write that a signal cuts off is in doubt",
        "Ctrl-C hides a transfer that happened (F79)",
        "exchange/rest/call.py",
        '            if method != "GET":\n                subject, hint',
        "            if False:\n                subject, hint",
        ("tests/e2e/test_write_signals.py",),
    ),
    Mutant(
        "paper hears nothing of the account",
        "a run on paper books real fills",
        "exchange/stream/sequencing.py",
        "            if ACCOUNT_CHANNELS[type(frame)] not in self._channels:",
        "            if False:",
        ("tests/exchange/stream/test_sequencing.py",),
    ),
    Mutant(
        "paper asks for nothing of the account",
        "its stream carries the account's fills and orders",
        "app/trading.py",
        "channels=CHANNELS if has_account else MARKET_CHANNELS,",
        "channels=CHANNELS,",
        ("tests/e2e/test_paper_apart.py",),
    ),
)
