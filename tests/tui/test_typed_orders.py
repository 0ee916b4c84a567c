"""Orders typed on the screen: which text is kept for the next time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kalshi_cli.base.errors import ExchangeError, HaltedError, OutcomeUnknownError, RefusedError, UnreachableError
from kalshi_cli.tui.typed_orders import TypedTexts

TEXT = "buy 10 @0.32"


def executing(end: object) -> Any:
    """Return an account whose orders end so: an error is raised, anything else returned."""

    def execute(_plan: object) -> object:
        if isinstance(end, Exception):
            raise end
        return end

    return SimpleNamespace(orders=SimpleNamespace(execute=execute))


@pytest.mark.parametrize("error", [RefusedError("a"), HaltedError("b"), ExchangeError("c"), UnreachableError("d")])
def test_the_text_of_an_order_of_which_nothing_was_sent_is_kept(error: Exception) -> None:
    texts = TypedTexts()
    execute = texts.keep("KX-A", TEXT)
    assert (texts.of("KX-A"), texts.of("KX-B")) == (TEXT, "")
    with pytest.raises(type(error)):
        execute(executing(error), None)  # type: ignore[arg-type]
    assert texts.of("KX-A") == TEXT


def test_the_text_of_an_order_that_may_be_live_is_not_offered_again() -> None:
    texts = TypedTexts()
    execute = texts.keep("KX-A", TEXT)
    with pytest.raises(OutcomeUnknownError):
        execute(executing(OutcomeUnknownError("no reply")), None)  # type: ignore[arg-type]
    assert texts.of("KX-A") == ""
    assert texts.keep("KX-A", TEXT)(executing("placed"), None) == "placed"  # type: ignore[arg-type]
    assert texts.of("KX-A") == ""
