"""`kalshi api`: signed requests to any API path."""

from __future__ import annotations

import re
import sys
from codecs import getincrementaldecoder
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import parse_qsl

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.options import executed, flags_of, form_of, note_unsent, open_services, show_done
from kalshi_cli.cli.parameters import CommandGroup, DryRun, argument, flag, option
from kalshi_cli.cli.screen.output import Format, info, write_out

app = CommandGroup("Send a signed request to any API path.")

METHODS = ("GET", "POST", "PUT", "DELETE")
MAX_BODY_LENGTH = 1_000_000
"""Bytes that `--input` reads; the largest batch of orders needs a tenth of them."""
MAX_INDENTED_LENGTH = 2_000_000
DEEPEST_INDENTED = 32
"""Bytes and nesting levels of a response that is indented: together they limit the size of the result."""
_CHUNK = 64 * 1024


class RequestField(NamedTuple):
    """A value as it was typed. A value of -F that looks like a JSON constant or an integer becomes one in a body."""

    text: str
    is_typed: bool

    @property
    def value(self) -> object:
        """Return the value as a member of a JSON body."""
        if not self.is_typed:
            return self.text
        if self.text in _CONSTANTS:
            return _CONSTANTS[self.text]
        digits = self.text.removeprefix("-")
        return int(self.text) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else self.text


_CONSTANTS: dict[str, object] = {"true": True, "false": False, "null": None}
Fields = dict[str, list[RequestField]]


ApiPath = Annotated[str, argument("PATH", "API path, such as /portfolio/balance, with or without /trade-api/v2")]
TextFields = Annotated[
    list[str] | None, typer.Option("-f", "--raw-field", metavar="NAME=VALUE", help="Add a string field")
]
TypedFields = Annotated[
    list[str] | None,
    typer.Option(
        "-F", "--field", metavar="NAME=VALUE", help="Add a typed field: true, false, null and integers are converted"
    ),
]
BodySource = Annotated[str, option("--input", "FILE|-", "Read the body from a file, or from standard input with -")]


@app.command("api")
def api(
    ctx: typer.Context,
    method: Annotated[str, argument("[METHOD]", "GET, POST, PUT or DELETE")],
    path: ApiPath = "",
    texts: TextFields = None,
    typed: TypedFields = None,
    source: BodySource = "",
    paginate: Annotated[bool, flag("--paginate", "Follow the cursors to the end; one response with all rows")] = False,
    no_limits: Annotated[
        bool, flag("--no-limits", "Send an order, an amend or a quote that no risk limit checks")
    ] = False,
    yes: Annotated[bool, flag("--yes", "Skip the confirmation of a write on prod")] = False,
    dry_run: DryRun = False,
) -> None:
    """Send a signed request to any API path.

    It is like `gh api`. Fields become the query of a GET or DELETE, and the JSON body of a POST or PUT. No risk limit
    applies and the state file records nothing, but a halt applies. So a POST or PUT to a path of orders or quotes is
    refused, unless `--no-limits` is given; use `kalshi buy`, `sell`, `order` or `quote` instead. Cancels need no
    option. Without METHOD, a path with a `/` is read with GET.

    The exchange expects prices and counts as strings (`-f`), most other numbers as numbers (`-F`). `NAME[]=VALUE` is
    a list. The response is printed unchanged when piped; on a terminal, or with `--json`, it is indented. With
    `--format csv`, or with `--fields`, the rows of the one list in the response to a GET are printed; `--fields`
    looks for values beside the list first. With `--format ndjson`, a response that has one list and at most a cursor
    beside it is printed one object of the list a line, any other one in one line.

    \b
    kalshi api /exchange/status
    kalshi api GET /portfolio/orders -f status=resting --paginate
    kalshi api GET /portfolio/fills --paginate --fields ticker,count_fp --format csv
    kalshi api POST /portfolio/order_groups/create -F contracts_limit=100
    kalshi api DELETE /portfolio/events/orders/2597b999-f887-4195-8bac-c3f97a1f2021
    """
    import msgspec

    from kalshi_cli.services.raw_calls import require_limits

    if not path and "/" in method:
        method, path = "GET", method
    if not path:
        raise UsageError("Missing PATH", hint="for example `kalshi api /portfolio/balance`; see `kalshi api -h`")
    method = method.upper()
    form = _checked_form(ctx, method, paginate=paginate)
    path, _, query = path.partition("?")
    path = path if path.startswith("/") else f"/{path}"
    fields = _fields(texts or [], typed or [])
    has_body = method in ("POST", "PUT")
    if source and fields and has_body:
        raise UsageError("The body comes from --input or from fields, not both", hint="put the fields in the file")
    params = _params(query, {} if has_body else fields)
    body = _read(source) if source else msgspec.json.encode(_object(fields)) if has_body else b""
    if not no_limits:
        require_limits(method, path)
    with open_services(ctx) as kalshi:
        if method == "GET":
            answer = kalshi.account.raw_get(path, params, with_all_pages=paginate)
        else:
            plan = kalshi.account.plan_raw_call(method, path, params, body)
            if dry_run:
                note_unsent(*plan.facts)
                show_done(ctx, "dry_run", f"{method} {path}")
                return
            answer = executed(kalshi.resources, kalshi.account, plan, "Send this request?", yes=yes)
    _print(answer, form, flags_of(ctx).fields)


def _checked_form(ctx: typer.Context, method: str, *, paginate: bool) -> Format:
    """Return the output format. UsageError, before a request is sent, for options that do not fit the method."""
    form, names = form_of(ctx), flags_of(ctx).fields
    if method not in METHODS:
        raise UsageError(f"Invalid method: {method[:20]!r}", hint=f"use one of {', '.join(METHODS)}")
    if paginate and method != "GET":
        raise UsageError("--paginate works with GET only", hint="remove --paginate")
    if method != "GET" and (names or form is Format.CSV):
        raise UsageError("--format csv and --fields work with GET only; nothing was sent", hint="use --json")
    return form


def _params(query: str, fields: Fields) -> dict[str, list[str]]:
    """Return the query of a request: that of the path, replaced by fields of the same name."""
    params: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        params.setdefault(name, []).append(value)
    return params | {name: [field.text for field in given] for name, given in fields.items()}


def _print(answer: bytes, form: Format, names: Sequence[str]) -> None:
    """Write the response unchanged, or indented for a table or JSON; an empty response prints nothing.

    For CSV, and for the fields `names`, write its rows; for NDJSON those of a list with at most a cursor.

    Control characters are written as JSON escapes in every format, because stdout may be a terminal. The values of a
    JSON document stay the same.
    """
    if names or form is Format.CSV:
        from kalshi_cli.cli.screen.response_rows import row_lines, rows_of

        if not (rows := rows_of(answer, names)):
            info("The response has no rows")
        for line in row_lines(rows, names, form):
            write_out(line.translate(_visible))
        return
    if form is Format.NDJSON:
        from kalshi_cli.cli.screen.response_rows import document_lines

        answer = document_lines(answer)
    elif form in (Format.TABLE, Format.JSON):
        answer = _indented(answer)
    if not (answer := answer.rstrip(b"\n")).strip():
        return
    decode, view = getincrementaldecoder("utf-8")(errors="replace").decode, memoryview(answer)
    for start in range(0, len(answer), _CHUNK):
        write_out(decode(bytes(view[start : start + _CHUNK])).translate(_visible))
    write_out(decode(b"", final=True).translate(_visible) + "\n")


def _indented(answer: bytes) -> bytes:
    """Return JSON with an indent. Return other text, and JSON that an indent would make huge, unchanged."""
    import msgspec

    if len(answer) > MAX_INDENTED_LENGTH:
        return answer
    brackets = _STRING.sub(b"", answer).translate(None, delete=_NO_BRACKETS)
    if max(accumulate(1 if char in b"[{" else -1 for char in brackets), default=0) > DEEPEST_INDENTED:
        return answer
    try:
        return msgspec.json.format(answer, indent=2)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return answer


_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class _Visible(dict[int, int | str]):
    """A translation table: control characters become JSON escapes, tab and carriage return become spaces."""

    def __missing__(self, code: int) -> int | str:
        if chr(code).isprintable():
            return code
        halves = chr(code).encode("utf-16-be", "surrogatepass").hex()
        return "".join(f"\\u{halves[at : at + 4]}" for at in range(0, len(halves), 4))


_visible = _Visible({code: code for code in (0x0A, *range(0x20, 0x7F))} | {0x09: " ", 0x0D: " "})


_EMPTY = (
    "is a variable of the shell unset? To send an empty value, write it in the path (`PATH?name=`), or in the body "
    "that --input sends"
)


def _fields(texts: Sequence[str], typed: Sequence[str]) -> Fields:
    """Return the fields of -f and -F by name; a name may be repeated."""
    fields: Fields = {}
    for words, is_typed in ((texts, False), (typed, True)):
        for word in words:
            name, equals, value = word.partition("=")
            if not name or not equals:
                raise UsageError(f"Invalid field: {word[:40]!r}", hint="use NAME=VALUE, for example -f status=resting")
            if not value.strip():
                raise UsageError(f"Field {name[:40]} needs a value; it is empty", hint=_EMPTY)
            fields.setdefault(name, []).append(RequestField(value, is_typed))
    return fields


def _object(fields: Fields) -> dict[str, object]:
    """Return a JSON body: `k=v` is a member, `k[]=v` an item of a list."""
    body: dict[str, object] = {}
    for name, given in fields.items():
        if name.endswith("[]"):
            body[name.removesuffix("[]")] = [field.value for field in given]
        elif len(given) > 1:
            raise UsageError(
                f"{name[:40]} is given {len(given)} times", hint=f"for a list, use {name[:40]}[]=VALUE each time"
            )
        else:
            body[name] = given[0].value
    return body


def _read(source: str) -> bytes:
    """Return a JSON body from a file, or from standard input for `-`."""
    import msgspec

    if source == "-":
        body = sys.stdin.buffer.read(MAX_BODY_LENGTH + 1)
    else:
        try:
            with Path(source).open("rb") as file:
                body = file.read(MAX_BODY_LENGTH + 1)
        except OSError as error:
            raise UsageError(f"Cannot read {source}: {error.strerror}", hint="- reads standard input") from error
    if len(body) > MAX_BODY_LENGTH:
        raise UsageError(f"The body is larger than {MAX_BODY_LENGTH} bytes", hint="split it into several requests")
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"The body is not valid JSON: {error}", hint=f"check {'stdin' if source == '-' else source}"
        ) from error
    return body
