"""Verify that no order is priced from a wrong, old or missing order book: `python -m verification.feed`."""
