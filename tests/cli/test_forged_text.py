"""Text of an exchange that would forge a line of ours, steer the terminal, or end the program by its shape."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hostile_text import CONTROLS, INVISIBLE, harmful
from support.served import FINE, Served, program, served, set_variables

from kalshi_cli.base.errors import ConfigError, ExchangeError
from kalshi_cli.base.text import LONGEST, one_line
from kalshi_cli.base.units import Ts
from kalshi_cli.cli.commands import api
from kalshi_cli.services import raw_calls
from kalshi_cli.simulator.protocol.replies import Request, Response

SOON_S = 20.0
"""Far more than any of these takes, and far less than a conversion of a huge number."""


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("exchange")) as found:
        yield found
        found.exchange.problems.clear()


@pytest.fixture
def answers(one: Served, monkeypatch: pytest.MonkeyPatch) -> list[Response]:
    """What the exchange answers next, in order; the last one again and again."""
    set_variables(monkeypatch, one.home, one.variables())
    coming: list[Response] = []

    def handle(_request: Request, _now: Ts) -> Response:
        return coming.pop(0) if len(coming) > 1 else coming[0]

    monkeypatch.setattr(one.exchange, "handle", handle)
    return coming


def answer(status: int, body: bytes) -> Response:
    return Response(status=status, headers={"content-type": "application/json"}, body=body)


BREAKS = ("\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029")
FORGED = "error: nothing is live"


@pytest.mark.parametrize("form", ["plain", "json"])
@pytest.mark.parametrize("end", BREAKS)
def test_a_message_of_the_exchange_cannot_begin_a_line_of_its_own(answers: list[Response], end: str, form: str) -> None:
    refusal = {"error": {"code": "bad_request", "message": f"no{end}{FORGED}", "details": f"no{end}hint: trade on"}}
    answers.append(answer(400, json.dumps(refusal, ensure_ascii=False).encode()))
    ended = program("market", FINE, "--format", form)
    assert ended.code == 4
    lines = ended.err.splitlines()
    assert [line[:7] for line in lines] == (["error: ", "hint: n"] if form == "plain" else ['{"error'])
    said = ended.error["message"] if form == "json" else lines[0]
    assert one_line(end) + FORGED in said
    assert end not in said


def test_every_character_that_a_terminal_obeys_is_shown_escaped() -> None:
    for char in (*CONTROLS, *INVISIBLE):
        shown = one_line(f"a{char}b")
        assert harmful(shown) == ""
        assert "\n" not in shown
        assert shown == "a b" if char == "\xa0" else shown.startswith("a\\") and shown.endswith("b")
    assert len(one_line("\n" * 2 * LONGEST)) == LONGEST


def test_an_error_has_lines_of_its_own_only_where_it_was_given_them() -> None:
    error = ExchangeError("one\ntwo", hint="a\x1b[2Jb", details="c\rd")
    assert (error.message, error.hint, error.details) == ("one\\ntwo", "a\\x1b[2Jb", "c\\rd")
    assert ConfigError("two problems", more=["a\nb", "c"]).message == "two problems\n  a\\nb\n  c"


def test_a_traceback_has_each_error_on_one_line(answers: list[Response]) -> None:
    answers.append(answer(400, json.dumps({"code": "bad", "message": f"no\n{FORGED}"}).encode()))
    ended = program("market", FINE, "-v")
    assert "Traceback" in ended.err
    assert [line for line in ended.err.splitlines() if line.startswith("error: ")] == [
        line for line in ended.err.splitlines() if line.startswith("error: GET")
    ]


def test_what_is_asked_before_a_write_is_one_line_a_fact(answers: list[Response]) -> None:
    ended = program("api", "POST", "/portfolio/subaccounts", "--dry-run", "-f", f"name=a\u2028{FORGED}")
    assert ended.code == 0
    assert len(ended.err.splitlines()) == 3
    assert FORGED not in [line[: len(FORGED)] for line in ended.err.splitlines()]
    assert answers == []


# -- a raw call ---------------------------------------------------------------------------------------------------

OBEYED = "".join(("\x7f", "\x85", "\x9b31m", "\u202e", "\u2066", "\u200b", "\ufeff", "\U000e0041", "日本"))
FORMS = ("table", "plain", "json", "ndjson")


@pytest.mark.parametrize("form", FORMS)
def test_a_raw_answer_in_json_keeps_its_values_and_steers_no_terminal(answers: list[Response], form: str) -> None:
    body = {"title": OBEYED, OBEYED: [1.5, "\x1b[2J\t\r\n"]}
    answers.append(answer(200, b"\t" + json.dumps(body, ensure_ascii=False).encode() + b"\r\n"))
    ended = program("api", "GET", "/markets", "--format", form)
    assert harmful(ended.out) == ""
    assert "日本" in ended.out
    assert ended.json == body


@pytest.mark.parametrize("form", FORMS)
def test_a_raw_answer_that_is_no_json_steers_no_terminal(answers: list[Response], form: str) -> None:
    answers.append(answer(200, b"\x1b]0;title\x07" + "".join((*CONTROLS, *INVISIBLE)).encode() + b"\xff\xc3"))
    ended = program("api", "GET", "/markets", "--format", form)
    assert ended.code == 0
    assert harmful(ended.out) == ""
    assert "\\u001b]0;title\\u0007" in ended.out


def test_the_rows_of_a_raw_answer_steer_no_terminal(answers: list[Response]) -> None:
    body = {"markets": [{"title": OBEYED, "ticker": "\x1b[2J\t\r\n"}]}
    answers.append(answer(200, json.dumps(body, ensure_ascii=False).encode()))
    ended = program("api", "GET", "/markets", "--format", "csv")
    assert ended.code == 0
    assert harmful(ended.out) == ""
    assert "日本" in ended.out
    answers[:] = [answer(200, "".join((*CONTROLS, *INVISIBLE)).encode() + b"\xff\xc3")]
    ended = program("api", "GET", "/markets", "--format", "csv")
    assert (ended.code, ended.out, harmful(ended.err)) == (2, "", "")


def test_a_character_on_the_border_of_two_pieces_is_whole(answers: list[Response]) -> None:
    body = json.dumps(["x" + "日" * (api._CHUNK + 5)], ensure_ascii=False).encode()
    answers.append(answer(200, body))
    assert program("api", "GET", "/markets", "--format", "plain").out == body.decode() + "\n"


@pytest.mark.parametrize("form", ["table", "json"])
def test_an_indent_never_makes_an_answer_huge(answers: list[Response], form: str) -> None:
    deep = api.DEEPEST_INDENTED + 1
    for body, is_indented in (
        (b"[" * (deep - 1) + b'"[[{"' + b"]" * (deep - 1), True),
        (b"[" * deep + b"1,1,1" + b"]" * deep, False),
        (b'["' + b"x" * (api.MAX_INDENTED_LENGTH - 4) + b'"]', True),
        (b'["' + b"x" * (api.MAX_INDENTED_LENGTH - 3) + b'"]', False),
    ):
        answers[:] = [answer(200, body)]
        shown = program("api", "GET", "/markets", "--format", form).out
        assert ("\n  " in shown) is is_indented


NESTED = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


@pytest.mark.parametrize("words", [(), ("--paginate",)])
def test_an_answer_nested_without_end_is_a_clear_error_or_shown_as_it_came(
    answers: list[Response], words: tuple[str, ...]
) -> None:
    answers.append(answer(200, NESTED))
    for form in FORMS:
        ended = program("api", "GET", "/markets", *words, "--format", form)
        assert (ended.code, ended.err[:6]) == (6, '{"erro' if "json" in form else "error:") if words else (0, "")


def test_pages_have_a_limit_of_bytes_together(answers: list[Response], monkeypatch: pytest.MonkeyPatch) -> None:
    page = b'{"a":["' + b"x" * (raw_calls.MAX_BYTES // 2) + b'"],"cursor":"%d"}'
    answers += [answer(200, page % number) for number in range(3)]
    ended = program("api", "GET", "/markets", "--paginate", "--json")
    assert (ended.code, ended.error["code"], ended.out) == (6, "too_long", "")


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("body", [NESTED, b"[" * 200_000, b'{"markets":' + b"9" * 900_000 + b"}", b"9" * 900_000])
def test_a_reply_of_any_shape_ends_a_command_soon_with_a_clear_error(
    answers: list[Response], status: int, body: bytes
) -> None:
    answers.append(answer(status, body))
    for line in (("markets",), ("market", FINE), ("balance",), ("order", "list"), ("catalog", "refresh")):
        began = time.monotonic()
        ended = program(*line)
        assert ended.code in (4, 6)
        assert len(ended.err.splitlines()) == 2
        assert time.monotonic() - began < SOON_S


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 900_000, '{"a":' * 100_000])
def test_a_body_of_any_shape_is_refused_soon(answers: list[Response], tmp_path: Path, text: str) -> None:
    (tmp_path / "body.json").write_text(text)
    began = time.monotonic()
    ended = program("api", "POST", "/portfolio/subaccounts", "--input", tmp_path / "body.json")
    assert (ended.code, "The body is not valid JSON" in ended.err) == (2, True)
    (tmp_path / "orders.ndjson").write_text(text)
    assert program("order", "batch", tmp_path / "orders.ndjson", "--dry-run").code == 2
    assert time.monotonic() - began < SOON_S
    assert answers == []
