"""A slice of `python -m verification.screens`: memory stays flat under updates, with a reader that hangs."""

from __future__ import annotations

from verification.screens import MAY_GROW, run


def test_memory_stays_flat() -> None:
    after_a_tenth, after_all, read = run(100_000)
    assert after_all <= after_a_tenth * MAY_GROW
    assert read > 0
