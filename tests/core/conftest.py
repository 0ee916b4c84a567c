"""The core is tested with coverage of every branch, which makes a test take up to four times as long."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Do not measure the coverage of random examples: fixed ones must reach every branch."""
    for item in items:
        is_random = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if is_random and HERE in item.path.parents:
            item.add_marker(pytest.mark.no_cover)
