"""T19: with a clock that is far off no loop begins, and whoever asked is told how far."""

from __future__ import annotations

from email.utils import formatdate

import httpx
import pytest
from virtual import Virtual

from kalshi_cli.base.errors import CredentialsError
from kalshi_cli.desk import health


def shift(virtual: Virtual, ahead_s: float) -> None:
    """Our clock is so far ahead of the dates of the exchange's answers."""

    def dated(request: httpx.Request) -> httpx.Response:
        answer = virtual.checked.handle_request(request)
        answer.headers["date"] = formatdate(virtual.clock.now() / 1000 - ahead_s, usegmt=True)
        return answer

    virtual.wire.before = dated


@pytest.mark.parametrize(("ahead_s", "words"), [(8, "ahead of"), (-8, "behind")])
def test_a_clock_that_is_seconds_off_is_refused_with_how_far(virtual: Virtual, ahead_s: float, words: str) -> None:
    shift(virtual, ahead_s)
    with pytest.raises(CredentialsError, match=rf"your clock is [78]\.\d s {words}") as caught:
        health.refuse_unless_fit(virtual.client, virtual.path.parent, virtual.said.append)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(("ahead_s", "warnings"), [(0, 0), (3.5, 1), (-3.5, 1)])
def test_one_that_is_a_little_off_is_told_at_most(virtual: Virtual, ahead_s: float, warnings: int) -> None:
    shift(virtual, ahead_s)
    health.refuse_unless_fit(virtual.client, virtual.path.parent, virtual.said.append)
    assert len([text for text in virtual.said if "clock" in text]) == warnings
