"""What lies beside a recording: how its markets ended, and prices from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from kalshi_cli.core.messages import ReferencePrice, SpotPrice
from kalshi_cli.errors import UsageError
from kalshi_cli.feeds.recording import at_line, read_lines
from kalshi_cli.units import ONE_DOLLAR, Price, Ts, parse_price, parse_ts


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
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


def read_results(path: Path) -> dict[str, Outcome]:
    """Outcomes by ticker, from a JSON list of markets, an object `{ticker: "yes" | "no"}`, or one market a line.

    A market without a result is left out. UsageError with the place where the file says something else.
    """
    found: dict[str, Outcome] = {}
    if path.name.removesuffix(".gz").endswith(".jsonl"):
        for number, line in read_lines(path):
            try:
                row = _decode_row(line)
                if row.result:
                    found[row.ticker] = _outcome(row)
            except ValueError as error:
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
    except ValueError as error:
        raise UsageError(
            f"{path}: {error}",
            hint='results are a list of markets with "ticker" and "result", or an object of ticker to yes or no',
            code="bad_results",
        ) from error
    return found


def _outcome(row: _Row) -> Outcome:
    """ValueError where the result is neither yes nor no and no payout stands beside it."""
    value = _WHOLE.get(row.result or "")
    if row.settlement_value_dollars:
        value = parse_price(row.settlement_value_dollars)
    if value is None:
        raise ValueError(f"{row.ticker}: the result {row.result!r:.40} has no payout")
    return Outcome(
        result=row.result or "", value=value, close_time=parse_ts(row.close_time) if row.close_time else None
    )


# -- prices from outside ------------------------------------------------------------------------------------------

_SPOT_COLUMNS = ["exchange_ts", "recv_ns", "price"]


def is_spot(path: Path) -> bool:
    """Whether a file holds outside prices, not frames: `.csv` or `.csv.gz`."""
    return path.name.removesuffix(".gz").endswith(".csv")


def index_name(path: Path) -> str:
    """The index a spot file speaks of, from its name: `btcusd-20260513T1259Z.csv.gz` is BTCUSD."""
    return path.name.partition(".")[0].partition("-")[0].upper()


def as_spot(price: ReferencePrice) -> SpotPrice:
    """The same as the price of a coin, for strategies that ask for one: BTCUSD is of BTC. Sizes are not recorded."""
    return SpotPrice(price.ts, price.index.removesuffix("USD"), price.value, "recorded")


def read_spot(path: Path) -> Iterator[ReferencePrice]:
    """The rows of a spot file (`exchange_ts,recv_ns,price,...`) in their order, at the time of their exchange."""
    index = index_name(path)
    for number, line in read_lines(path):
        try:
            cells = line.decode().strip().split(",")
            if number == 1:
                if cells[:3] != _SPOT_COLUMNS:
                    raise ValueError(f"the first columns of a spot file are {','.join(_SPOT_COLUMNS)}")
                continue
            yield ReferencePrice(parse_ts(cells[0]), index, parse_price(cells[2]))
        except (ValueError, IndexError) as error:
            raise at_line(path, number, error) from error
