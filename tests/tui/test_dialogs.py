"""The word that a question asks for."""

from __future__ import annotations

import pytest

from kalshi_cli.base.errors import UsageError
from kalshi_cli.tui.dialogs import word_reader


@pytest.mark.parametrize("text", ["kill", "KILL", "kill "])
def test_the_word_is_taken_in_any_case(text: str) -> None:
    assert word_reader("kill")(text) == text


@pytest.mark.parametrize("text", ["", "klil", " kill", "kill all", "skill"])
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="The word is kill"):
        word_reader("kill")(text)
