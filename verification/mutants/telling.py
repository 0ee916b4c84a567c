"""Mutants of alerts and of the checks behind them."""

from __future__ import annotations

from verification.mutants.mutant import Mutant

TELLING = (
    Mutant(
        "a ping says that the account is in sight",
        "the dead man's switch stays quiet while nobody sees the account (F68)",
        "core/engine/book_validity.py",
        "    return is_read and state.blind_since is None and (",
        "    return is_read and (",
        ("tests/core/engine/test_book_validity.py",),
    ),
    Mutant(
        "a ping wants a recent read of the account",
        "with every read hung the dead man's switch stays quiet (F68)",
        "core/engine/book_validity.py",
        "    return is_read and state.blind_since is None and (",
        "    return state.blind_since is None and (",
        ("tests/services/trading/reports/test_run_reporter.py",),
    ),
    Mutant(
        "what stopped trading is resolved after a resume",
        "a pager closes the incident while trading is stopped (F78)",
        "core/monitoring/alert_board.py",
        "        if matter.told is None or (self.is_stopped and stops_trading(matter)):",
        "        if matter.told is None:",
        ("tests/core/monitoring/test_alert_board.py",),
    ),
    Mutant(
        "a stop holds under a pause",
        "a pause by an alert resolves the daily loss that brought it about (F78)",
        "services/monitoring/alerting.py",
        "self.store.stop_under_pause(), ",
        "self.store.halt(), ",
        ("tests/services/monitoring/test_alerting.py",),
    ),
    Mutant(
        "the kill switch tells by itself",
        "without a loop nobody is told that everything was canceled",
        "services/orders/cancel_all.py",
        "telling(self._resources, does_halt=self._lock is not None)",
        "telling(self._resources, does_halt=False)",
        ("tests/services/orders/test_kill_told.py",),
    ),
    Mutant(
        "closing goes on until it is done",
        "positions that an alert wants closed stay open, and nobody tries again",
        "services/monitoring/alert_dispatcher.py",
        "        elif self._is_closed:",
        "        elif failed is None:",
        ("tests/services/monitoring/test_alert_dispatcher.py",),
    ),
    Mutant(
        "a halt is no success",
        "a halted loop looks alive to the dead man's switch (F68)",
        "services/trading/reports/run_reporter.py",
        "        if pulse.halt.is_wrong:\n",
        "        if False:\n",
        ("tests/services/trading/reports/test_run_reporter.py",),
    ),
    Mutant(
        "no secret in the log",
        "whoever reads the log can post as us (F72)",
        "telemetry/logs.py",
        "safe_text(redact(value), MAX_VALUE_LENGTH)",
        "safe_text(value, MAX_VALUE_LENGTH)",
        ("tests/telemetry/test_logs.py",),
    ),
)

CHECKING = (
    Mutant(
        "requests that all failed are critical however few",
        "check api says OK while every request is answered with 429",
        "services/monitoring/checks/api.py",
        "    if only_failures([*of_loop, *own], now):",
        "    if False:",
        ("tests/services/monitoring/checks/test_api.py",),
    ),
    Mutant(
        "a probe that was cut off by the rate limit is unknown",
        "check api says OK of an exchange that it could not ask",
        "services/monitoring/checks/api.py",
        '            return [*refused.values(), could_not_read("requests", error)]',
        "            break",
        ("tests/services/monitoring/checks/test_api.py",),
    ),
    Mutant(
        "what kalshi refused itself is no refusal by the exchange",
        "REJECT_RATE cries over our own limits, and is switched off",
        "core/monitoring/order_check.py",
        "        if not (order.is_foreign or order.status is OrderStatus.DENIED or is_refused_here(order))",
        "        if not (order.is_foreign or order.status is OrderStatus.DENIED)",
        ("tests/core/monitoring/test_order_check.py",),
    ),
    Mutant(
        "a source that fails does not look fresh",
        "a model that died is taken for one that answers",
        "feeds/source_monitor.py",
        "        self._last = (self._last[0], safe_text(problem, MAX_PROBLEM_LENGTH))",
        "        self._last = (self._clock.monotonic(), safe_text(problem, MAX_PROBLEM_LENGTH))",
        ("tests/feeds/test_fairs.py",),
    ),
    Mutant(
        "that a source stopped answering is recorded",
        "a dead model is one line on stderr",
        "services/trading/session.py",
        "        self._record_all(self._source_watch.look(self.sources(), self.clock.now()))",
        "        self._source_watch.look(self.sources(), self.clock.now())",
        ("tests/services/monitoring/test_source_stale.py",),
    ),
    Mutant(
        "denials count in the share of requests denied",
        "every check is OK while a strategy is denied whatever it asks for",
        "core/monitoring/request_check.py",
        "    codes = Counter(denials)",
        "    codes = Counter[str]()",
        ("tests/core/monitoring/test_request_check.py",),
    ),
    Mutant(
        "an order that was refused here ends no wait",
        "a loop that sends nothing for days looks busy",
        "core/monitoring/request_check.py",
        "    last = max([since, *(order.created for order in orders if not is_refused_here(order))])",
        "    last = max([since, *(order.created for order in orders)])",
        ("tests/core/monitoring/test_request_check.py",),
    ),
    Mutant(
        "orders that rest hide no false fill of another",
        "behind a loop that quotes twenty orders a false fill is never looked for",
        "services/monitoring/checks/records.py",
        "    unseen = [order for order in own if order.client_order_id not in shown]",
        "    own = sorted(own, key=lambda order: order.updated, reverse=True)[:MOST]\n"
        "    unseen = [order for order in own if order.client_order_id not in shown]",
        ("tests/services/monitoring/checks/test_orders.py",),
    ),
    Mutant(
        "orders that were not compared are told of",
        "a check says OK of orders that it did not look at",
        "services/monitoring/checks/records.py",
        "differing(records, absent, as_of) + _not_compared(more)",
        "differing(records, absent, as_of)",
        ("tests/services/monitoring/checks/test_orders.py",),
    ),
)
