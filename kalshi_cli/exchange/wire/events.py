"""REST bodies of events and series: the objects, their fee changes, event metadata, forecasts."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import field

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import Event, FeeSchedule, FeeType, Market, Series
from kalshi_cli.exchange.wire import values
from kalshi_cli.exchange.wire.markets import MarketDetailsBody, MarketSummaryBody, details_of, market_of
from kalshi_cli.exchange.wire.values import Count, Moment, Names, Text, TextOrNull, TsOfSeconds, Unit, Wire, convert


class _Source(msgspec.Struct, gc=False):
    name: str | None = None
    url: str | None = None


def _thousandths(multiplier: float) -> int:
    """Convert a fee multiplier, one of the few JSON numbers: 0.5 -> 500."""
    if not 0 <= multiplier <= 1000:
        raise ValueError(f"an impossible fee multiplier: {multiplier}")
    return round(multiplier * 1000)


def _sources(wire: list[_Source]) -> tuple[tuple[str, str], ...]:
    return tuple((source.name or "", source.url or "") for source in wire)


_Sources = Annotated[list[_Source] | None, Unit(_sources, ())]


# -- events -------------------------------------------------------------------------------------------------------


class _Event(msgspec.Struct, gc=False):
    event_ticker: str
    series_ticker: str
    mutually_exclusive: bool
    title: str = ""
    sub_title: str = ""
    category: Text = None
    collateral_return: Text = field(name="collateral_return_type", default=None)
    fee_type_override: str | None = None
    fee_multiplier_override: Annotated[float | None, Unit(_thousandths)] = None
    settlement_sources: _Sources = None
    strike_date: Moment | None = None
    strike_period: Text = None
    product_metadata: dict[str, object] | None = None
    updated: Moment | None = field(name="last_updated_ts", default=None)
    exchange_index: int = 0


class _NestedEvent(_Event, gc=False):
    markets: list[MarketSummaryBody] | None = None


class EventBody(_Event, gc=False):
    """An event with its markets, if they were requested."""

    markets: list[MarketDetailsBody] | None = None


class _EventBody(msgspec.Struct):
    event: EventBody
    markets: list[MarketDetailsBody] | None = None


def _event(wire: _Event, markets: tuple[Market, ...]) -> Event:
    override = FeeType(wire.fee_type_override) if wire.fee_type_override else None
    return convert(Event, wire, fee_type_override=override, markets=markets)


def _whole(wire: _EventBody) -> Event:
    """Convert an event; its markets are inside the event, or beside it (a field that is being phased out)."""
    nested = wire.event.markets
    return _event(wire.event, tuple(map(details_of, wire.markets or () if nested is None else nested)))


def _listed(wire: _NestedEvent) -> Event:
    return _event(wire, tuple(map(market_of, wire.markets or ())))


read_event = values.whole(_EventBody, _whole, "an event")
"""`GET /events/{event_ticker}`."""
read_events = values.paged("events", _NestedEvent, _listed, "events", is_required=True)
"""`GET /events` and `GET /events/multivariate`."""


# -- series -------------------------------------------------------------------------------------------------------


class SeriesBody(msgspec.Struct, gc=False):
    """A whole series; the volume only if it was requested."""

    ticker: str
    fee_type: str
    fee_multiplier: float
    title: str = ""
    category: str = ""
    frequency: str = ""
    settlement_sources: _Sources = None
    categories: Names = None
    tags: Names = None
    contract_url: str = ""
    contract_terms_url: str = ""
    prohibitions: Names = field(name="additional_prohibitions", default=None)
    product_metadata: dict[str, object] | None = None
    volume: Count | None = field(name="volume_fp", default=None)
    updated: Moment | None = field(name="last_updated_ts", default=None)
    exchange_index: int = 0


def _series(wire: SeriesBody) -> Series:
    return convert(Series, wire, fees=FeeSchedule(FeeType(wire.fee_type), _thousandths(wire.fee_multiplier)))


read_series = values.single("series", SeriesBody, _series, "a series")
"""`GET /series/{series_ticker}`."""
read_series_list = values.listed("series", SeriesBody, _series, "the series")
"""`GET /series`, a single page."""


# -- fee changes --------------------------------------------------------------------------------------------------


class FeeChange(msgspec.Struct, frozen=True, kw_only=True):
    """Fees in force from `scheduled` on. For an event, None means the fees of its series."""

    id: str
    series_ticker: str
    event_ticker: str = ""
    fees: FeeSchedule | None
    scheduled: Ts


class _SeriesChange(msgspec.Struct, gc=False):
    id: str
    series_ticker: str
    fee_type: str
    fee_multiplier: float
    scheduled: Moment = field(name="scheduled_ts")


class _EventChange(msgspec.Struct, gc=False):
    id: str
    event_ticker: str
    series_ticker: str
    scheduled: Moment = field(name="scheduled_ts")
    fee_type_override: str | None
    fee_multiplier_override: float | None


def _series_change(wire: _SeriesChange) -> FeeChange:
    return convert(FeeChange, wire, fees=FeeSchedule(FeeType(wire.fee_type), _thousandths(wire.fee_multiplier)))


def _event_change(wire: _EventChange) -> FeeChange:
    kind, multiplier = wire.fee_type_override, wire.fee_multiplier_override
    if (kind is None) != (multiplier is None):
        raise ValueError(f"event {wire.event_ticker}: a fee change of type {kind!r} and multiplier {multiplier!r}")
    fees = None if kind is None or multiplier is None else FeeSchedule(FeeType(kind), _thousandths(multiplier))
    return convert(FeeChange, wire, fees=fees)


read_series_fee_changes = values.listed("series_fee_change_arr", _SeriesChange, _series_change, "fee changes of series")
"""`GET /series/fee_changes`."""
read_event_fee_changes = values.paged(
    "event_fee_changes", _EventChange, _event_change, "fee changes of events", is_required=True
)
"""`GET /events/fee_changes`."""


# -- metadata and forecasts ---------------------------------------------------------------------------------------


class MarketImage(msgspec.Struct, frozen=True):
    """Image and color of a market."""

    market_ticker: str
    image_url: str = ""
    color_code: str = ""


_Images = Annotated[tuple[MarketImage, ...] | None, Unit(tuple, ())]


class EventMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """Presentation of an event, and the sources of its outcome."""

    image_url: str = ""
    featured_image_url: str = ""
    competition: TextOrNull
    competition_scope: TextOrNull
    settlement_sources: Annotated[tuple[tuple[str, str], ...], Wire(_Sources, None)]
    markets: Annotated[tuple[MarketImage, ...], Wire(_Images, None)] = field(name="market_details")


class Percentile(
    msgspec.Struct, frozen=True, rename={"forecast": "numerical_forecast", "formatted": "formatted_forecast"}
):
    """The forecast that is not exceeded with this probability; `percentile` is in hundredths of a percent."""

    percentile: int
    forecast: float
    formatted: str = ""


class ForecastPoint(msgspec.Struct, frozen=True):
    """The forecast of an event's value at the end of a period of `interval_min` minutes (0: five seconds)."""

    event_ticker: str
    end: TsOfSeconds = field(name="end_period_ts")
    interval_min: int = field(name="period_interval")
    percentiles: tuple[Percentile, ...] = field(name="percentile_points")


read_event_metadata = values.whole(*values.of(EventMetadata), "an event's metadata")
"""`GET /events/{event_ticker}/metadata`."""
read_forecasts = values.listed("forecast_history", *values.of(ForecastPoint), "forecasts")
"""`GET .../forecast_percentile_history`."""
