"""What lies beside a recording: how its markets ended, and what was heard from outside the exchange, as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, parse_price, parse_ts
from kalshi_cli.core.model.messages import FairValue, Message, NewsSignal, ReferencePrice, SpotPrice
from kalshi_cli.feeds.fair_values import read_row, wrong_heading
from kalshi_cli.feeds.news_signals import RawSignal, signal_of
from kalshi_cli.feeds.recording_format import at_line, read_lines


class MarketResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a market ended. `value` is what one YES contract paid; the close time where the file knows it."""

    result: str
    value: Price
    close_time: Ts | None = None


class _Row(msgspec.Struct, kw_only=True):
    """A settled market as the exchange, or a recorder, lists it; the rest of its fields are not read."""

    ticker: str
    result: str | None = None
    close_time: str | None = None
    settlement_value_dollars: str | None = None


_WHOLE = {"yes": ONE_DOLLAR, "no": Price(0)}
_decode_row = msgspec.json.Decoder(_Row).decode


def read_results(path: Path) -> dict[str, MarketResult]:
    """Outcomes by ticker, from a JSON list of markets, an object `{ticker: "yes" | "no"}`, or one market a line.

    A market without a result is left out. UsageError with the place where the file says something else.
    """
    found: dict[str, MarketResult] = {}
    if path.name.removesuffix(".gz").endswith(".jsonl"):
        for number, line in read_lines(path):
            try:
                row = _decode_row(line)
                if row.result:
                    found[row.ticker] = _outcome(row)
            except (ValueError, RecursionError) as error:
                raise at_line(path, number, error) from error
        return found
    try:
        document = msgspec.json.decode(b"".join(line for _, line in read_lines(path)), type=list[_Row] | dict[str, str])
        rows = (
            [_Row(ticker=ticker, result=result) for ticker, result in document.items()]
            if isinstance(document, dict)
            else document
        )
        found.update((row.ticker, _outcome(row)) for row in rows if row.result)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: {error}",
            hint='results are a list of markets with "ticker" and "result", or an object of ticker to yes or no',
            code="bad_results",
        ) from error
    return found


def _outcome(row: _Row) -> MarketResult:
    """ValueError where the result is neither yes nor no and no payout stands beside it."""
    value = _WHOLE.get(row.result or "")
    if row.settlement_value_dollars:
        value = parse_price(row.settlement_value_dollars)
    if value is None:
        raise ValueError(f"{row.ticker}: the result {row.result!r:.40} has no payout")
    return MarketResult(
        result=row.result or "", value=value, close_time=parse_ts(row.close_time) if row.close_time else None
    )


# -- what was heard from outside ----------------------------------------------------------------------------------


_INDEXES = {"BTCUSD": "BRTI", "ETHUSD": "ETHUSD_RTI"}


def is_history(path: Path) -> bool:
    """Whether a file holds what was heard outside, not frames: `.csv` or `.csv.gz`."""
    return path.name.removesuffix(".gz").endswith(".csv")


def read_history(path: Path) -> Iterator[Message]:
    """Its rows as messages, each at its time; the first line says of which kind they are.

    `exchange_ts,recv_ns,price,...` are prices of a coin, `time,ticker,probability[,until]` probabilities, and
    `time,id,ticker,direction,confidence` news. UsageError with the place where a row says something else, or is of a
    time before that of the row above: nobody knows then what was heard when.
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
                    raise ValueError("its time is before that of the row above")
                before = message.ts
                yield message
        except ValueError as error:
            raise at_line(path, number, error) from error


def _prices(path: Path, cells: list[str]) -> Iterator[Message]:
    """The price of the coin that the name of the file speaks of, `btcusd-20260513T1259Z.csv.gz` of BTC, without a size;
    it stands in for the index of that coin in the live feed, too.
    """
    pair, ts, price = path.name.partition(".")[0].partition("-")[0].upper(), parse_ts(cells[0]), parse_price(cells[2])
    if price <= 0:
        raise ValueError(f"a price of {cells[2]:.40}")
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
    ("time", "ticker", "probability"): _fairs,
    ("time", "id", "ticker", "direction", "confidence"): _news,
}
