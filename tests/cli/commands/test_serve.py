"""The line that says what the page of `kalshi serve` can do; the page itself is tested in tests/web."""

from __future__ import annotations

import pytest

from kalshi_cli.cli.commands.serve import _allowed
from kalshi_cli.web.server import WebOptions


@pytest.mark.parametrize("options", [WebOptions(may_stop=True), WebOptions(may_write=True)])
def test_a_page_in_read_only_mode_is_not_said_to_place_or_cancel_orders(options: WebOptions) -> None:
    line = _allowed(options, True)
    assert "sends nothing to the exchange: KALSHI_READ_ONLY is set" in line
    assert _allowed(options, False) != line
    assert _allowed(WebOptions(), True) == _allowed(WebOptions(), False)
