-- The schema of the state file, as ordered migrations. `PRAGMA user_version` counts the completed ones.
--
-- Never change a released step: add a new one. A step begins with a line `-- step`; an empty line separates
-- statements. Columns are plain integers and text in the units of `units.py`, readable in a sqlite3 shell.

-- step 1: The tables.
CREATE TABLE identity (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    account TEXT NOT NULL,
    environment TEXT NOT NULL
);

-- `key` is the client order id of an own order and the exchange's id of an external one, which may have no
-- client_order_id, or one that we also used. No other index: an order request should write one page only.
CREATE TABLE orders (
    key TEXT PRIMARY KEY,
    client_order_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    ticker TEXT NOT NULL,
    side TEXT NOT NULL,
    price INTEGER NOT NULL,
    qty INTEGER NOT NULL,
    filled INTEGER NOT NULL,
    reduced INTEGER NOT NULL,
    status TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    tif TEXT NOT NULL,
    post_only INTEGER NOT NULL,
    reduce_only INTEGER NOT NULL,
    expires INTEGER,
    exchange_index INTEGER NOT NULL,
    fees INTEGER NOT NULL,
    fill_cost INTEGER NOT NULL,
    strategy TEXT NOT NULL,
    fair INTEGER,
    reason TEXT NOT NULL,
    code TEXT NOT NULL,
    is_foreign INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX orders_by_order_id ON orders (order_id) WHERE order_id <> '';

CREATE TABLE fills (
    trade_id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    ticker TEXT NOT NULL,
    side TEXT NOT NULL,
    price INTEGER NOT NULL,
    qty INTEGER NOT NULL,
    fee INTEGER NOT NULL,
    is_taker INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    client_order_id TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE settlements (
    ticker TEXT PRIMARY KEY,
    event_ticker TEXT NOT NULL,
    result TEXT NOT NULL,
    value INTEGER NOT NULL,
    yes_qty INTEGER NOT NULL,
    no_qty INTEGER NOT NULL,
    revenue INTEGER NOT NULL,
    fee INTEGER NOT NULL,
    ts INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE halt (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    state TEXT NOT NULL,
    code TEXT NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL
);

CREATE TABLE cycle (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    run_id TEXT NOT NULL,
    pid INTEGER NOT NULL,
    mode TEXT NOT NULL,
    strategy TEXT NOT NULL,
    started INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    cycles INTEGER NOT NULL,
    is_running INTEGER NOT NULL,
    feed_age_ms INTEGER,
    cash INTEGER,
    day_pnl INTEGER
);

-- One row per minute and cause; `ts` and `detail` belong to the latest refusal.
CREATE TABLE denials (
    minute INTEGER NOT NULL,
    code TEXT NOT NULL,
    strategy TEXT NOT NULL,
    ticker TEXT NOT NULL,
    count INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (minute, code, strategy, ticker)
);

CREATE TABLE alerts (
    id INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,
    tier TEXT NOT NULL,
    code TEXT NOT NULL,
    subject TEXT NOT NULL,
    text TEXT NOT NULL
);

-- step 2: Groups, subaccounts, self-trade prevention and cancel-on-pause, with the defaults that were sent before.
ALTER TABLE orders ADD COLUMN order_group_id TEXT NOT NULL DEFAULT '';

ALTER TABLE orders ADD COLUMN subaccount INTEGER NOT NULL DEFAULT 0;

ALTER TABLE orders ADD COLUMN self_trade_prevention TEXT DEFAULT 'taker_at_cross';

ALTER TABLE orders ADD COLUMN cancel_on_pause INTEGER NOT NULL DEFAULT 0;

-- step 3: The subaccount of a fill; an older fill has that of its order, where known.
ALTER TABLE fills ADD COLUMN subaccount INTEGER NOT NULL DEFAULT 0;

UPDATE fills SET subaccount = COALESCE((SELECT MAX(subaccount) FROM orders
    WHERE order_id = fills.order_id AND order_id <> ''), 0);

-- step 4: The order groups that runs made at the exchange, and which of them are triggered until a reset.
CREATE TABLE run_groups (group_id TEXT PRIMARY KEY, exchange_index INTEGER NOT NULL,
    is_triggered INTEGER NOT NULL DEFAULT 0);

-- step 5: The delay of messages, and markets without an order book.
ALTER TABLE cycle ADD COLUMN feed_lag_ms INTEGER;

ALTER TABLE cycle ADD COLUMN no_book TEXT NOT NULL DEFAULT '';

-- step 6: One row for each placed or amended order, in that order, so that programs see each other's orders.
CREATE TABLE intents (number INTEGER PRIMARY KEY, key TEXT NOT NULL);

-- step 7: Two own orders that trade with each other have a fill each. SQLite cannot change a key: a new table.
ALTER TABLE fills RENAME TO old_fills;

CREATE TABLE fills (
    trade_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    ticker TEXT NOT NULL,
    side TEXT NOT NULL,
    price INTEGER NOT NULL,
    qty INTEGER NOT NULL,
    fee INTEGER NOT NULL,
    is_taker INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    client_order_id TEXT NOT NULL,
    subaccount INTEGER NOT NULL,
    PRIMARY KEY (trade_id, order_id)
) WITHOUT ROWID;

INSERT INTO fills SELECT * FROM old_fills;

DROP TABLE old_fills;

-- step 8: Alerts and their notices, and the order of bookings; earlier bookings are not announced.
CREATE TABLE matters (
    code TEXT NOT NULL,
    subject TEXT NOT NULL,
    source TEXT NOT NULL,
    tier TEXT NOT NULL,
    event TEXT NOT NULL,
    text TEXT NOT NULL,
    since INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    value TEXT NOT NULL,
    wanted TEXT NOT NULL,
    lasts INTEGER NOT NULL,
    is_unknown INTEGER NOT NULL,
    count INTEGER NOT NULL,
    untold INTEGER NOT NULL,
    told INTEGER,
    ended INTEGER,
    is_known INTEGER NOT NULL,
    is_resolved INTEGER NOT NULL,
    has_returned INTEGER NOT NULL,
    hushed INTEGER NOT NULL,
    PRIMARY KEY (code, subject)
) WITHOUT ROWID;

CREATE TABLE alert_windows (code TEXT PRIMARY KEY, until INTEGER NOT NULL, tier TEXT NOT NULL);

CREATE TABLE silences (
    code TEXT NOT NULL,
    subject TEXT NOT NULL,
    until INTEGER NOT NULL,
    reason TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (code, subject)
);

CREATE TABLE outbox (
    number INTEGER PRIMARY KEY,
    notice_id TEXT NOT NULL,
    sink TEXT NOT NULL,
    status TEXT NOT NULL,
    created INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    moved INTEGER NOT NULL,
    error TEXT NOT NULL,
    tier TEXT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (notice_id, sink)
);

CREATE TABLE alert_sinks (
    sink TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,
    retry_at INTEGER NOT NULL,
    claimed_until INTEGER NOT NULL,
    last_delivered INTEGER,
    last_failed INTEGER,
    error TEXT NOT NULL
);

-- The position up to which alerts and bookings were read, and other single numbers.
CREATE TABLE alert_marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL);

INSERT INTO alert_marks SELECT 'alerts', COALESCE(MAX(id), 0) FROM alerts;

-- The order in which fills and settlements were booked here; their keys and times are the exchange's. Every program
-- that books one writes this row in the same transaction.
CREATE TABLE booked (
    number INTEGER PRIMARY KEY,
    trade_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    ticker TEXT NOT NULL
);

CREATE TRIGGER fill_is_booked AFTER INSERT ON fills BEGIN
    INSERT INTO booked (trade_id, order_id, ticker) VALUES (NEW.trade_id, NEW.order_id, NEW.ticker);
    DELETE FROM booked WHERE number <= (SELECT MAX(number) FROM booked) - 10000;
END;

-- Before the insert, because a later settlement replaces the existing one.
CREATE TRIGGER settlement_is_booked BEFORE INSERT ON settlements
WHEN NOT EXISTS (SELECT 1 FROM settlements WHERE ticker = NEW.ticker) BEGIN
    INSERT INTO booked (trade_id, order_id, ticker) VALUES ('', '', NEW.ticker);
END;

-- step 9: What account checks need from earlier runs: the highest gain and the cash baseline.
ALTER TABLE cycle ADD COLUMN gained INTEGER;

CREATE TABLE best (id INTEGER PRIMARY KEY CHECK (id = 1), gained INTEGER NOT NULL, ts INTEGER NOT NULL);

CREATE TABLE cash_base (id INTEGER PRIMARY KEY CHECK (id = 1), cash INTEGER NOT NULL, ts INTEGER NOT NULL);

-- step 10: The time of each order from the decision to the exchange's answer.
CREATE TABLE placements (client_order_id TEXT NOT NULL, latency_ms INTEGER NOT NULL);

-- step 11: The exchange's answers to a loop, by minute (UTC, since 1970).
CREATE TABLE traffic (minute INTEGER PRIMARY KEY, requests INTEGER NOT NULL, failures INTEGER NOT NULL,
    gaps INTEGER NOT NULL, p99_ms INTEGER);

-- step 12: The unit of an alert's numbers, and whether it stops trading once no other alert explains it.
ALTER TABLE matters ADD COLUMN unit TEXT NOT NULL DEFAULT '';

ALTER TABLE matters ADD COLUMN must_stop INTEGER NOT NULL DEFAULT 0;

-- step 13: The subaccount that each key is restricted to: NULL without a restriction, no row before it was asked.
CREATE TABLE key_locks (key_id TEXT PRIMARY KEY, subaccount INTEGER);

-- step 14: The cause of the end of the last run, and its exit code.
ALTER TABLE cycle ADD COLUMN stopped_by TEXT NOT NULL DEFAULT '';

ALTER TABLE cycle ADD COLUMN exit_code INTEGER;

-- step 15: Markets in which no position may be opened until then.
CREATE TABLE market_locks (ticker TEXT PRIMARY KEY, until INTEGER NOT NULL, reason TEXT NOT NULL,
    since INTEGER NOT NULL);

-- step 16: Strategies that cannot decide, and the inputs that they lack.
ALTER TABLE cycle ADD COLUMN waiting TEXT NOT NULL DEFAULT '';

-- step 17: The last answer of each outside source of a loop.
ALTER TABLE cycle ADD COLUMN sources TEXT NOT NULL DEFAULT '';

-- step 18: Open and closed markets. A booking, or an order that traded, opens its market; `due` is the time from which
-- it may be closed again, two days after its last booking. Indexes keep the cost of a start from growing with history.
CREATE TABLE open_markets (ticker TEXT PRIMARY KEY, due INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE closed_markets (
    ticker TEXT NOT NULL,
    strategy TEXT NOT NULL,
    realized INTEGER NOT NULL,
    fees INTEGER NOT NULL,
    wins INTEGER NOT NULL,
    losses INTEGER NOT NULL,
    PRIMARY KEY (ticker, strategy)
) WITHOUT ROWID;

INSERT INTO open_markets SELECT ticker, MAX(ts) + 172800000
    FROM (SELECT ticker, ts FROM fills UNION ALL SELECT ticker, ts FROM settlements) GROUP BY ticker;

CREATE TRIGGER fill_opens_market AFTER INSERT ON fills BEGIN
    INSERT INTO open_markets VALUES (NEW.ticker, NEW.ts + 172800000)
        ON CONFLICT (ticker) DO UPDATE SET due = MAX(due, excluded.due);
END;

CREATE TRIGGER settlement_opens_market AFTER INSERT ON settlements BEGIN
    INSERT INTO open_markets VALUES (NEW.ticker, NEW.ts + 172800000)
        ON CONFLICT (ticker) DO UPDATE SET due = MAX(due, excluded.due);
END;

-- Not INSERT OR IGNORE: the conflict clause of the statement that fires a trigger replaces that of the trigger.
CREATE TRIGGER traded_order_opens_market AFTER INSERT ON orders
WHEN NEW.filled > 0 AND EXISTS (SELECT 1 FROM closed_markets WHERE ticker = NEW.ticker)
    AND NOT EXISTS (SELECT 1 FROM open_markets WHERE ticker = NEW.ticker) BEGIN
    INSERT INTO open_markets VALUES (NEW.ticker, NEW.updated + 172800000);
END;

CREATE TRIGGER changed_order_opens_market AFTER UPDATE ON orders
WHEN NEW.filled > 0 AND EXISTS (SELECT 1 FROM closed_markets WHERE ticker = NEW.ticker)
    AND NOT EXISTS (SELECT 1 FROM open_markets WHERE ticker = NEW.ticker) BEGIN
    INSERT INTO open_markets VALUES (NEW.ticker, NEW.updated + 172800000);
END;

CREATE INDEX fills_by_market ON fills (ticker);

CREATE INDEX fills_by_time ON fills (ts);

CREATE INDEX fills_of_subaccount ON fills (subaccount) WHERE subaccount <> 0;

CREATE INDEX settlements_by_time ON settlements (ts);

CREATE INDEX orders_live ON orders (ticker) WHERE status IN ('submitted', 'unknown', 'resting');

CREATE INDEX orders_ended ON orders (updated) WHERE status NOT IN ('submitted', 'unknown', 'resting');

-- The edge of strategies over all of history, as last counted.
CREATE TABLE edge (id INTEGER PRIMARY KEY CHECK (id = 1), sigma REAL, fills INTEGER NOT NULL, events INTEGER NOT NULL,
    counted INTEGER NOT NULL);

-- How far the results of closed markets were counted again, and the last time that all of them were.
CREATE TABLE recount (id INTEGER PRIMARY KEY CHECK (id = 1), ticker TEXT NOT NULL, completed INTEGER NOT NULL);

-- step 19: Statistics of closed markets, so that no check reads their entries. The next recount of all of them writes the
-- missing rows and then the mark `totals`; until then, checks read the entries.
CREATE TABLE closed_totals (
    ticker TEXT PRIMARY KEY,
    event_ticker TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    wins INTEGER NOT NULL,
    losses INTEGER NOT NULL,
    bets INTEGER NOT NULL,
    earned REAL NOT NULL,
    deviation REAL NOT NULL
) WITHOUT ROWID;

CREATE INDEX closed_totals_by_time ON closed_totals (last);

-- The sum of `closed_markets` by strategy, reopened markets included: a start reads this and not a row for each market.
CREATE TABLE closed_sums (
    strategy TEXT PRIMARY KEY,
    realized INTEGER NOT NULL,
    fees INTEGER NOT NULL,
    wins INTEGER NOT NULL,
    losses INTEGER NOT NULL,
    markets INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO closed_sums SELECT strategy, SUM(realized), SUM(fees), SUM(wins), SUM(losses), COUNT(*)
    FROM closed_markets GROUP BY strategy;

CREATE TRIGGER closed_market_is_added AFTER INSERT ON closed_markets BEGIN
    INSERT INTO closed_sums VALUES (NEW.strategy, NEW.realized, NEW.fees, NEW.wins, NEW.losses, 1)
        ON CONFLICT (strategy) DO UPDATE SET realized = realized + excluded.realized, fees = fees + excluded.fees,
            wins = wins + excluded.wins, losses = losses + excluded.losses, markets = markets + 1;
END;

CREATE TRIGGER closed_market_is_removed AFTER DELETE ON closed_markets BEGIN
    UPDATE closed_sums SET realized = realized - OLD.realized, fees = fees - OLD.fees, wins = wins - OLD.wins,
        losses = losses - OLD.losses, markets = markets - 1 WHERE strategy = OLD.strategy;
END;

CREATE TRIGGER closed_market_is_changed AFTER UPDATE ON closed_markets BEGIN
    UPDATE closed_sums SET realized = realized - OLD.realized, fees = fees - OLD.fees, wins = wins - OLD.wins,
        losses = losses - OLD.losses, markets = markets - 1 WHERE strategy = OLD.strategy;
    INSERT INTO closed_sums VALUES (NEW.strategy, NEW.realized, NEW.fees, NEW.wins, NEW.losses, 1)
        ON CONFLICT (strategy) DO UPDATE SET realized = realized + excluded.realized, fees = fees + excluded.fees,
            wins = wins + excluded.wins, losses = losses + excluded.losses, markets = markets + 1;
END;

DELETE FROM recount;

INSERT INTO alert_marks SELECT 'totals', 1 WHERE NOT EXISTS (SELECT 1 FROM closed_markets);

-- step 20: The number of fills, and of markets with saved results: `check drift` shows both and counts no history.
CREATE TABLE sizes (name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;

INSERT INTO sizes SELECT 'fills', COUNT(*) FROM fills
    UNION ALL SELECT 'closed_markets', COUNT(DISTINCT ticker) FROM closed_markets;

CREATE TRIGGER fill_is_counted AFTER INSERT ON fills BEGIN
    UPDATE sizes SET count = count + 1 WHERE name = 'fills';
END;

CREATE TRIGGER fill_is_removed AFTER DELETE ON fills BEGIN
    UPDATE sizes SET count = count - 1 WHERE name = 'fills';
END;

CREATE TRIGGER closed_market_is_counted AFTER INSERT ON closed_markets
WHEN (SELECT COUNT(*) FROM closed_markets WHERE ticker = NEW.ticker) = 1 BEGIN
    UPDATE sizes SET count = count + 1 WHERE name = 'closed_markets';
END;

CREATE TRIGGER closed_market_is_forgotten AFTER DELETE ON closed_markets
WHEN NOT EXISTS (SELECT 1 FROM closed_markets WHERE ticker = OLD.ticker) BEGIN
    UPDATE sizes SET count = count - 1 WHERE name = 'closed_markets';
END;

-- step 21: The outcome of an order as it was typed here, yes or no; empty in all other orders and in older rows.
ALTER TABLE orders ADD COLUMN outcome TEXT NOT NULL DEFAULT '';

-- step 22: The best price that an order could take when it was decided on; NULL without one and in older rows.
ALTER TABLE orders ADD COLUMN best INTEGER;

-- step 23: When an order was amended; NULL for a placed order and in older rows.
ALTER TABLE intents ADD COLUMN amended INTEGER;

-- step 24: The closing prices at the start of each trading day of the positions carried into it; the first one stays.
CREATE TABLE opening_marks (day INTEGER NOT NULL, ticker TEXT NOT NULL, mark INTEGER NOT NULL,
    PRIMARY KEY (day, ticker)) WITHOUT ROWID;

-- step 25: Whether a silence ends when the alerts end that were active when it began.
ALTER TABLE silences ADD COLUMN until_over INTEGER NOT NULL DEFAULT 0;

-- step 26: The ticket that the start of an alert opened at a receiver, and its gravest tier. Alerts that an earlier version
-- sent have one of their own.
ALTER TABLE matters ADD COLUMN ticket TEXT NOT NULL DEFAULT '';

ALTER TABLE matters ADD COLUMN ticket_tier TEXT NOT NULL DEFAULT '';

UPDATE matters SET ticket = subject, ticket_tier = tier WHERE lasts AND is_known AND NOT is_resolved;
