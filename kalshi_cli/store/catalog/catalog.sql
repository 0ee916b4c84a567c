-- The catalog: listed markets, events and series, and the words to find them by.

-- step 1: The tables.
CREATE TABLE listing (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    source TEXT NOT NULL,
    as_of INTEGER,
    started INTEGER,
    since INTEGER,
    step INTEGER NOT NULL DEFAULT 0,
    cursor TEXT NOT NULL DEFAULT ''
);

-- `seen` is the start of the refresh that last read the entry. `body` is JSON.
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    ticker TEXT NOT NULL,
    parent TEXT NOT NULL,
    title TEXT NOT NULL,
    kin TEXT NOT NULL,
    closes INTEGER,
    is_over INTEGER NOT NULL,
    body BLOB NOT NULL,
    seen INTEGER NOT NULL,
    UNIQUE (kind, ticker)
);

CREATE INDEX entries_by_parent ON entries (kind, parent);

-- step 2: The index, where this SQLite has full-text search (FTS5).
CREATE VIRTUAL TABLE words USING fts5 (
    ticker, title, kin, content='entries', content_rowid='id', prefix='2 3',
    tokenize="unicode61 remove_diacritics 2"
);

CREATE TRIGGER entry_added AFTER INSERT ON entries BEGIN
    INSERT INTO words (rowid, ticker, title, kin) VALUES (new.id, new.ticker, new.title, new.kin);
END;

CREATE TRIGGER entry_gone AFTER DELETE ON entries BEGIN
    INSERT INTO words (words, rowid, ticker, title, kin)
    VALUES ('delete', old.id, old.ticker, old.title, old.kin);
END;

-- Only where the words changed: most refreshes change a time or a price.
CREATE TRIGGER entry_changed AFTER UPDATE OF title, kin ON entries
WHEN old.title <> new.title OR old.kin <> new.kin BEGIN
    INSERT INTO words (words, rowid, ticker, title, kin)
    VALUES ('delete', old.id, old.ticker, old.title, old.kin);
    INSERT INTO words (rowid, ticker, title, kin) VALUES (new.id, new.ticker, new.title, new.kin);
END;
