"""Proof that no order is priced from a book that is wrong, old or gone: `python -m verification.feed`."""
