"""The core is tested with coverage of every branch, which makes a test take up to four times as long."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
COVERING = {
    "test_pnl.py",
    "test_execution_quality.py",
    "test_baskets.py",
    "test_alert_board.py",
    "test_event_exposure.py",
}
"""Files whose random examples are the only ones to reach some branches."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Do not measure the coverage of hundreds of random examples, where fixed ones reach every branch."""
    for item in items:
        is_random = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if is_random and HERE in item.path.parents and item.path.name not in COVERING:
            item.add_marker(pytest.mark.no_cover)
