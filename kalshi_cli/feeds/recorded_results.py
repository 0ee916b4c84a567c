"""Files that accompany a recording: the results of its markets, and external inputs as CSV."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, parse_price, parse_ts
from kalshi_cli.core.model.messages import FairValue, Message, NewsSignal, ReferencePrice, SpotPrice
from kalshi_cli.feeds.fair_values import read_row, wrong_heading
from kalshi_cli.feeds.news_signals import RawSignal, signal_of
from kalshi_cli.feeds.recording_format import at_line, read_lines


class MarketResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a market. `value` is the payout of one YES contract, `close_time` the time if known."""

    result: str
    value: Price
    close_time: Ts | None = None


class _Row(msgspec.Struct, kw_only=True):
    """A settled market as the exchange or a recorder lists it; other fields are not read."""

    ticker: str
    result: str | None = None
    close_time: str | None = None
    settlement_value_dollars: str | None = None


_WHOLE = {"yes": ONE_DOLLAR, "no": Price(0)}
_LINE_KEYS = frozenset({"recv_ns", "recv_ms", "conn", "frame", "note", "type"})
"""The keys of a line of a recording, or of a frame without a line around it."""
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_row = msgspec.json.Decoder(prepared(_Row)).decode


def read_results(path: Path) -> dict[str, MarketResult]:
    """Return results by ticker from a JSON list of markets, an object `{ticker: "yes" | "no"}`, or one market a line.

    A market without a result is omitted. Raises UsageError with the location of an invalid entry, or of a second result
    that contradicts the first one, or without the file.
    """
    if not path.exists():
        hint = '--results takes a file of settled markets, such as {"TICKER": "yes"}'
        raise UsageError(f"Results file not found: {path}", hint=hint, code="bad_results")
    found: dict[str, MarketResult] = {}
    if path.name.removesuffix(".gz").endswith(".jsonl"):
        for number, line in read_lines(path):
            try:
                _add(found, _decode_row(line))
            except (ValueError, RecursionError) as error:
                raise at_line(path, number, error) from error
        return found
    try:
        text = b"".join(line for _, line in read_lines(path))
        document = msgspec.json.decode(text, type=prepared(list[_Row] | dict[str, str]))
        if isinstance(document, dict):  # of a key that is there twice, a dict has the last value only
            pairs = json.loads(text, object_pairs_hook=list)
            document = [_Row(ticker=ticker, result=result) for ticker, result in pairs]
        for row in document:
            _add(found, row)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: {error}",
            hint='use a list of markets with "ticker" and "result", or an object that maps tickers to yes or no',
            code="bad_results",
        ) from error
    return found


def refuse_results(path: Path) -> None:
    """Raise UsageError for a recording that is a file of market results, in which a run would find no message."""
    if not is_history(path) and path.is_file() and _holds_results(path):  # reading a pipe would consume it
        raise UsageError(
            f"{path} has results of markets, not a recording", hint=f"use --results {path}", code="bad_recording"
        )


def _holds_results(path: Path) -> bool:
    try:
        first = next((line for _, line in read_lines(path)), b"")
        with suppress(ValueError, RecursionError):  # of a list or an object on several lines, there is no first object
            if not _LINE_KEYS.isdisjoint(_decode_object(first)):
                return False
        return bool(read_results(path))
    except UsageError:
        return False  # the run reports what is wrong with it


def merge_results(paths: Iterable[Path]) -> dict[str, MarketResult]:
    """Return the results of several files. Raises UsageError where two of them contradict each other."""
    found: dict[str, MarketResult] = {}
    sources: dict[str, Path] = {}
    for path in paths:
        for ticker, result in read_results(path).items():
            before = found.setdefault(ticker, result)
            if before.value != result.value:
                raise UsageError(
                    f"Two results of {ticker}: {before.result} in {sources[ticker]}, {result.result} in {path}",
                    hint="give only the file that is right",
                    code="bad_results",
                )
            sources.setdefault(ticker, path)
            if result.close_time is not None:
                found[ticker] = result
    return found


def _add(found: dict[str, MarketResult], row: _Row) -> None:
    """Add the result of a row, if it has one. Raises ValueError if it contradicts an earlier row."""
    if not row.result:
        return
    result = _outcome(row)
    before = found.get(row.ticker, result)
    if before.value != result.value:
        raise ValueError(f"two results of {row.ticker}: {before.result} and {result.result}")
    found[row.ticker] = result


def is_contradiction(result: str, value: Price | None) -> bool:
    """Return whether a payout is that of the opposite result. Fractions of a dollar are legal."""
    return value is not None and result in _WHOLE and value == ONE_DOLLAR - _WHOLE[result]


def _outcome(row: _Row) -> MarketResult:
    """Return the result of a market.

    Raises ValueError for a result other than yes or no without a payout, and for one with the payout of the opposite.
    """
    outcome = (row.result or "").lower()
    value = _WHOLE.get(outcome)
    if row.settlement_value_dollars:
        value = parse_price(row.settlement_value_dollars)
        if not 0 <= value <= ONE_DOLLAR:
            raise ValueError(f"{row.ticker}: a contract cannot pay {row.settlement_value_dollars:.40}, only $0 to $1")
        if is_contradiction(outcome, value):
            paid = row.settlement_value_dollars
            raise ValueError(f"{row.ticker}: the result {outcome} contradicts its payout of ${paid} for a YES contract")
    if value is None:
        raise ValueError(f"{row.ticker}: unknown result {row.result!r:.40} without a payout")
    return MarketResult(result=outcome, value=value, close_time=parse_ts(row.close_time) if row.close_time else None)


# -- external inputs ----------------------------------------------------------------------------------------------


_INDEXES = {"BTCUSD": "BRTI", "ETHUSD": "ETHUSD_RTI"}


def is_history(path: Path) -> bool:
    """Return whether a file holds external inputs (`.csv` or `.csv.gz`), not frames."""
    return path.name.removesuffix(".gz").endswith(".csv")


def read_history(path: Path) -> Iterator[Message]:
    """Yield the rows of a CSV file as messages, each at its time; the heading decides their kind.

    `exchange_ts,recv_ns,price,...` and `recv_ns,price` are prices of a coin, `time,ticker,probability[,until]` fair
    values, and `time,id,ticker,direction,confidence` news. Raises UsageError with the location of an invalid row, or
    of a row earlier than the row above: then the order of events is unknown.
    """
    heading: tuple[str, ...] = ()
    before = Ts(0)
    for number, line in read_lines(path):
        try:
            cells = [cell.strip() for cell in line.decode("utf-8-sig").split(",")]
            if not heading:
                heading = next((each for each in _ROWS if cells[: len(each)] == list(each)), ())
                if not heading:
                    raise wrong_heading(",".join(cells), "; or ".join(map(",".join, _ROWS)))
                continue
            if len(cells) < len(heading):
                raise ValueError(f"{len(cells)} values instead of {len(heading)}")
            for message in _ROWS[heading](path, cells):
                if message.ts < before:
                    raise ValueError("the time is earlier than in the row above")
                before = message.ts
                yield message
        except ValueError as error:
            raise at_line(path, number, error) from error


def _prices(path: Path, cells: list[str]) -> Iterator[Message]:
    """Yield the price of the coin in the file's name (`btcusd-20260513T1259Z.csv.gz`: BTC), without a size.

    The price also replaces the index of that coin in the live feed.
    """
    return _price(path, parse_ts(cells[0]), cells[2])


def _received_prices(path: Path, cells: list[str]) -> Iterator[Message]:
    """Yield the price like `_prices`, at the time received, where the file has no other."""
    return _price(path, Ts(int(cells[0]) // 1_000_000), cells[1])


def _price(path: Path, ts: Ts, text: str) -> Iterator[Message]:
    pair, price = path.name.removeprefix("spot-").partition(".")[0].partition("-")[0].upper(), parse_price(text)
    if price <= 0:
        raise ValueError(f"invalid price {text:.40}")
    yield ReferencePrice(ts, _INDEXES.get(pair, pair), price)
    yield SpotPrice(ts, pair.removesuffix("USD"), price, "recorded")


def _fairs(path: Path, cells: list[str]) -> Iterator[Message]:
    ticker, (fair, until) = read_row(cells[1:])
    yield FairValue(parse_ts(cells[0]), ticker, fair, path.name, until)


def _news(_path: Path, cells: list[str]) -> Iterator[NewsSignal]:
    at, name, ticker, direction, confidence = cells[:5]
    said = RawSignal(id=name, ticker=ticker, direction=direction, confidence=confidence)
    yield signal_of(said, parse_ts(at))


_ROWS: dict[tuple[str, ...], Callable[[Path, list[str]], Iterable[Message]]] = {
    ("exchange_ts", "recv_ns", "price"): _prices,
    ("recv_ns", "price"): _received_prices,
    ("time", "ticker", "probability"): _fairs,
    ("time", "id", "ticker", "direction", "confidence"): _news,
}
