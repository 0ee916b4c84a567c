"""A command-line toolkit for trading event contracts on Kalshi."""

__version__ = "0.1.0"
