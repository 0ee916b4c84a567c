"""The builder, as a fixture."""

from __future__ import annotations

import pytest
from core_build import Build


@pytest.fixture
def build() -> Build:
    return Build()
