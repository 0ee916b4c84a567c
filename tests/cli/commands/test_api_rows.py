"""`kalshi api` with `--format csv` and `--fields`: the rows of a GET, and the refusal of a write before it is sent."""

from __future__ import annotations

import csv
import io
import json

import pytest
from support.served import TWO_SIDED, Served, program

from kalshi_cli.base.errors import ExitCode, UsageError
from kalshi_cli.cli.screen.output import Format
from kalshi_cli.cli.screen.response_rows import Row, document_lines, row_lines, rows_of

MARKETS = ("api", "GET", "/markets", "-f", f"tickers={TWO_SIDED}")


def test_csv_has_the_rows_of_the_one_list(exchange: Served) -> None:
    (row,) = csv.DictReader(io.StringIO(program(*MARKETS, "--format", "csv").out))
    assert row["ticker"] == TWO_SIDED
    assert row["yes_bid_dollars"] == "0.4400"
    assert '"price_ranges"' in program(*MARKETS, "--format", "csv").out
    assert row["price_ranges"].startswith('[{"')


def test_fields_choose_from_the_rows(exchange: Served) -> None:
    fields = (*MARKETS, "--fields", "yes_bid_dollars,ticker")
    assert program(*fields, "--format", "csv").out == f'"yes_bid_dollars","ticker"\n"0.4400","{TWO_SIDED}"\n'
    assert program(*fields, "--format", "ndjson").out == f'{{"yes_bid_dollars":"0.4400","ticker":"{TWO_SIDED}"}}\n'
    assert program(*fields).json == [{"yes_bid_dollars": "0.4400", "ticker": TWO_SIDED}]


def test_ndjson_has_one_object_a_line(exchange: Served) -> None:
    (line,) = program(*MARKETS, "--format", "ndjson").out.splitlines()
    assert json.loads(line)["ticker"] == TWO_SIDED
    (line,) = program("api", "GET", "/portfolio/balance", "--format", "ndjson").out.splitlines()
    assert {"balance", "balance_breakdown"} <= set(json.loads(line)), "a list is not all of it"


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        (b'{"a": [{"x": 1.10}, {"y":\n2}], "cursor": "c"}', b'{"x":1.10}\n{"y":2}'),
        (b' [{"x": 1}]', b'{"x":1}'),
        (b'{"a": [], "cursor": ""}', b""),
        (b'{"a": [1]}', b'{"a":[1]}'),
        (b'{"a": [{"x": 1}],\n"b": 2}', b'{"a":[{"x":1}],"b":2}'),
        (b'{"a": {"x": 1}}', b'{"a":{"x":1}}'),
        (b"7", b"7"),
        (b"no", b"no"),
        (b"", b""),
        (b"[" * 100_000, b"[" * 100_000),
    ],
)
def test_the_lines_of_a_response(answer: bytes, lines: bytes) -> None:
    assert document_lines(answer) == lines


def test_fields_beside_the_list_come_first() -> None:
    answer = b'{"balance": 5, "shards": [{"balance": 2, "shard": 0}]}'
    assert rows_of(answer, ("balance",)) == [{"balance": 5, "shards": [{"balance": 2, "shard": 0}]}]
    assert rows_of(answer, ("balance", "shard")) == [{"balance": 2, "shard": 0}]


def test_one_object_is_one_row(exchange: Served) -> None:
    assert program("api", "GET", "/portfolio/balance", "--fields", "balance", "--json").json == [
        {"balance": program("api", "GET", "/portfolio/balance", "--json").json["balance"]}
    ]
    market = program("api", "GET", f"/markets/{TWO_SIDED}", "--fields", "ticker", "--json").json
    assert market == [{"ticker": TWO_SIDED}]
    assert list(program("api", "GET", "/portfolio/balance", "--fields", "balance", "--json").json[0]) == ["balance"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("/markets --fields tickr", "Unknown field: tickr"),
        ("/portfolio/positions --format csv", "The response has 2 lists: "),
    ],
)
def test_a_response_without_such_rows_is_refused(exchange: Served, line: str, says: str) -> None:
    exchange.trade_a_little()
    ended = program("api", "GET", *line.split())
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert says in ended.err


@pytest.mark.parametrize("form", [("--format", "csv"), ("--fields", "order_id")])
def test_a_write_is_refused_before_it_is_sent(exchange: Served, form: tuple[str, str]) -> None:
    create = ("api", "POST", "/portfolio/order_groups/create", "-F", "contracts_limit=100")
    ended = program(*create, *form)
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert "nothing was sent" in ended.err
    assert program("order", "group", "list", "--json").json == []
    assert program(*create, "--json").code == ExitCode.OK
    assert len(program("order", "group", "list", "--json").json) == 1


def test_a_dry_run_says_so_in_json(exchange: Served) -> None:
    ended = program("api", "POST", "/portfolio/order_groups/create", "-F", "contracts_limit=100", "--dry-run", "--json")
    assert ended.json == {"done": "dry_run", "subject": "POST /portfolio/order_groups/create"}


@pytest.mark.parametrize(
    ("answer", "rows"),
    [
        (b'{"a": [{"x": 1}], "cursor": ""}', [{"x": 1}]),
        (b'[{"x": 1}]', [{"x": 1}]),
        (b'{"a": [], "cursor": ""}', []),
        (b'{"market": {"x": 1}}', [{"x": 1}]),
        (b'{"x": 1, "y": {}}', [{"x": 1, "y": {}}]),
    ],
)
def test_rows_of_a_response(answer: bytes, rows: list[object]) -> None:
    assert rows_of(answer) == rows


@pytest.mark.parametrize("answer", [b"", b"no", b"7", b'{"a": [1]}', b'{"a": [], "b": []}', b"\xff", b"[" * 100_000])
def test_a_response_without_rows(answer: bytes) -> None:
    with pytest.raises(UsageError):
        rows_of(answer)


def test_a_csv_cell_is_no_formula_and_a_number_stays_one() -> None:
    rows: list[Row] = [{"a": "-5.00", "b": "=1+1", "c": None, "d": [1], "e": True}, {"f": "\x1b[2J"}]
    assert list(row_lines(rows, (), Format.CSV)) == [
        '"a","b","c","d","e","f"\n',
        '"-5.00","\'=1+1","","[1]","true",""\n',
        '"","","","","","[2J"\n',
    ]
    assert list(row_lines([], (), Format.CSV)) == [""]
    assert list(row_lines([], ("a",), Format.CSV)) == ['"a"\n']
    assert list(row_lines([], (), Format.JSON)) == ["[]\n"]


def test_a_path_alone_needs_no_slash_at_its_start(exchange: Served) -> None:
    exchange.trade_a_little()
    assert program("api", "portfolio/fills").json["fills"] == program("api", "/portfolio/fills").json["fills"] != []
    ended = program("api", "GET", "--json")
    assert (ended.code, ended.error["message"]) == (2, "Missing PATH")
