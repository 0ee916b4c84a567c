"""The report of a backtest: its statistics, tables, page and files."""
