"""Outside text made safe, secrets hidden."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_cli.base.text import MASK, mask, redact, safe_lines, safe_text, shorten_title

HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;https://evil.example\x07click\x1b]8;;\x07",
    "\x9b31m",
    "a\u202egnp.exe",
    "zero\u200bwidth\u2060\ufeff",
    "\u2066isolated\u2069",
    "line\nbreak\rreturn\ttab\x00null\x07bell\x08",
    "\ud800 lone surrogate",
    "[bold]markup[/bold] [/] [link=https://evil.example]x[/link]",
    "=cmd|' /C calc'!A0",
]


@given(st.text() | st.sampled_from(HOSTILE))
def test_safe_text_has_no_character_that_a_terminal_obeys(text: str) -> None:
    assert all(unicodedata.category(char)[0] != "C" or char == " " for char in safe_text(text))
    assert all(char == " " or unicodedata.category(char)[0] != "Z" for char in safe_text(text))


def test_the_hostile_texts_do_hold_such_characters() -> None:
    assert sum(any(unicodedata.category(char)[0] == "C" for char in text) for text in HOSTILE) >= 8


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"]), max_size=50))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert safe_text(text) == text


@given(st.text(), st.integers(min_value=1, max_value=20))
def test_safe_text_is_never_longer_than_the_limit(text: str, limit: int) -> None:
    assert len(safe_text(text, limit)) <= limit


def test_white_space_of_any_kind_becomes_a_space() -> None:
    assert safe_text("a\nb\tc\u00a0d\u2028e") == "a b c d e"


def test_safe_lines_keeps_line_breaks_and_nothing_else() -> None:
    assert safe_lines("one\r\ntwo\x1b[2J\nthree") == "one\ntwo[2J\nthree"


PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowCANARY\nabc=\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        f"key: {PEM}",
        f"key: {PEM!r}",
        PEM[:50] + "CANARY cut off",
        "{'KALSHI-ACCESS-SIGNATURE': 'CANARY+/abc=='}",
        "kalshi-access-signature: CANARY",
        "KALSHI-ACCESS-KEY=CANARY",
        "[(b'KALSHI-ACCESS-KEY', b'CANARY')]",
        "Authorization: Bearer CANARY",
        "POST https://hooks.slack.com/services/T0/B0/CANARY failed",
        "https://discord.com/api/webhooks/123/CANARY",
        "https://api.telegram.org/bot123456789:CANARYabcdefghijklmnopqrstuvwxyz/send",
        "https://hc-ping.com/0f6a2c1e-CANARY",
        "https://user:CANARY@example.org/path",
    ],
)
def test_redact_hides_what_looks_like_a_secret(text: str) -> None:
    assert "CANARY" not in redact(text)
    assert MASK in redact(text)


def test_redact_hides_what_was_concealed_and_leaves_the_rest() -> None:
    text = "order 2597b999-f887-4195-8bac-c3f97a1f2021 of key 77aa-CANARY-key"
    assert redact(text) == text
    mask("77aa-CANARY-key")
    assert redact(text) == f"order 2597b999-f887-4195-8bac-c3f97a1f2021 of key {MASK}"


def test_a_word_too_short_to_be_a_secret_is_not_concealed() -> None:
    mask("a")
    assert redact("a banana") == "a banana"


def test_a_token_whose_number_is_hidden_already_is_hidden_whole() -> None:
    shown = redact("https://api.telegram.org/bot[hidden]:CANARYabcdefghijklmnopqrstuvwxyz/send")
    assert shown == "https://api.telegram.org/bot[hidden]/send"


def test_a_short_title_keeps_the_name_of_yes() -> None:
    title = "Atlanta at Golden State Winner? – Golden State"
    assert shorten_title(title, 60) == title
    assert shorten_title(title, 24) == "Atlanta at …Golden State"
    assert shorten_title(title, 12) == "Golden State"
    assert shorten_title(title, 8) == "Golden …"
    assert shorten_title("Highest temperature in NYC?", 8) == "Highest…"
    for width in range(len(title) + 2):
        assert len(shorten_title(title, width)) <= width
