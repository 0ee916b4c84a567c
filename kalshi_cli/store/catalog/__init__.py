"""The catalog: every market of the exchange, on disk, for search."""
