"""The catalog: every market of the exchange, on disk, to search in."""
