"""The REST bodies of events and series: the objects, their fee changes, event metadata, forecasts."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import Event, FeeSchedule, FeeType, Market, Series
from kalshi_cli.exchange.wire.markets import Details, Listed, details_of, market_of
from kalshi_cli.exchange.wire.values import Moment, Page, maybe_ts, no_negative, read, seconds, ts_of


class _Source(msgspec.Struct, gc=False):
    name: str | None = None
    url: str | None = None


def _thousandths(multiplier: float) -> int:
    """A fee multiplier, one of the few JSON numbers that matter: 0.5 -> 500."""
    if not 0 <= multiplier <= 1000:
        raise ValueError(f"an impossible fee multiplier: {multiplier}")
    return round(multiplier * 1000)


def _sources(wire: list[_Source] | None) -> tuple[tuple[str, str], ...]:
    return tuple((source.name or "", source.url or "") for source in wire or ())


# -- events -------------------------------------------------------------------------------------------------------


class _Event(msgspec.Struct, gc=False):
    event_ticker: str
    series_ticker: str
    mutually_exclusive: bool
    title: str = ""
    sub_title: str = ""
    category: str | None = None
    collateral_return_type: str | None = None
    fee_type_override: str | None = None
    fee_multiplier_override: float | None = None
    settlement_sources: list[_Source] | None = None
    strike_date: Moment | None = None
    strike_period: str | None = None
    product_metadata: dict[str, object] | None = None
    last_updated_ts: Moment | None = None
    exchange_index: int = 0


class _NestedEvent(_Event, gc=False):
    markets: list[Listed] | None = None


class WholeEvent(_Event, gc=False):
    """With its markets, where they were asked for."""

    markets: list[Details] | None = None


class _EventBody(msgspec.Struct):
    event: WholeEvent
    markets: list[Details] | None = None


class _EventsBody(msgspec.Struct):
    events: list[_NestedEvent]
    cursor: str | None = None


def _event(wire: _Event, markets: tuple[Market, ...]) -> Event:
    multiplier = wire.fee_multiplier_override
    return Event(
        event_ticker=wire.event_ticker,
        series_ticker=wire.series_ticker,
        title=wire.title,
        mutually_exclusive=wire.mutually_exclusive,
        fee_type_override=FeeType(wire.fee_type_override) if wire.fee_type_override else None,
        fee_multiplier_override=None if multiplier is None else _thousandths(multiplier),
        settlement_sources=_sources(wire.settlement_sources),
        sub_title=wire.sub_title,
        category=wire.category or "",
        collateral_return=wire.collateral_return_type or "",
        strike_date=maybe_ts(wire.strike_date),
        strike_period=wire.strike_period or "",
        product_metadata=wire.product_metadata,
        updated=maybe_ts(wire.last_updated_ts),
        exchange_index=wire.exchange_index,
        markets=markets,
    )


def _whole(wire: _EventBody) -> Event:
    """The markets are inside the event where they were asked for, else beside it (a field on its way out)."""
    nested = wire.event.markets
    return _event(wire.event, tuple(map(details_of, wire.markets or () if nested is None else nested)))


def _listed(wire: _NestedEvent) -> Event:
    return _event(wire, tuple(map(market_of, wire.markets or ())))


_event_body = msgspec.json.Decoder(_EventBody)
_events_body = msgspec.json.Decoder(_EventsBody)


def read_event(body: bytes) -> Event:
    """`GET /events/{event_ticker}`."""
    return read(_event_body, _whole, body, "an event")


def read_events(body: bytes) -> Page[Event]:
    """`GET /events` and `GET /events/multivariate`."""
    return read(_events_body, lambda w: Page([_listed(e) for e in w.events], w.cursor or ""), body, "events")


# -- series -------------------------------------------------------------------------------------------------------


class WholeSeries(msgspec.Struct, gc=False):
    """All a series has; the volume only where it was asked for."""

    ticker: str
    fee_type: str
    fee_multiplier: float
    title: str = ""
    category: str = ""
    frequency: str = ""
    settlement_sources: list[_Source] | None = None
    categories: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    contract_url: str = ""
    contract_terms_url: str = ""
    additional_prohibitions: tuple[str, ...] | None = None
    product_metadata: dict[str, object] | None = None
    volume_fp: str | None = None
    last_updated_ts: Moment | None = None
    exchange_index: int = 0


class _SeriesBody(msgspec.Struct):
    series: WholeSeries


class _SeriesListBody(msgspec.Struct):
    series: list[WholeSeries] | None = None


def _series(wire: WholeSeries) -> Series:
    return Series(
        ticker=wire.ticker,
        title=wire.title,
        category=wire.category,
        frequency=wire.frequency,
        fees=FeeSchedule(FeeType(wire.fee_type), _thousandths(wire.fee_multiplier)),
        settlement_sources=_sources(wire.settlement_sources),
        categories=wire.categories or (),
        tags=wire.tags or (),
        contract_url=wire.contract_url,
        contract_terms_url=wire.contract_terms_url,
        prohibitions=wire.additional_prohibitions or (),
        product_metadata=wire.product_metadata,
        volume=None if wire.volume_fp is None else no_negative(wire.volume_fp),
        updated=maybe_ts(wire.last_updated_ts),
        exchange_index=wire.exchange_index,
    )


_series_body = msgspec.json.Decoder(_SeriesBody)
_series_list_body = msgspec.json.Decoder(_SeriesListBody)


def read_series(body: bytes) -> Series:
    """`GET /series/{series_ticker}`."""
    return read(_series_body, lambda wire: _series(wire.series), body, "a series")


def read_series_list(body: bytes) -> list[Series]:
    """`GET /series`, which comes whole."""
    return read(_series_list_body, lambda wire: [_series(one) for one in wire.series or ()], body, "the series")


# -- fee changes --------------------------------------------------------------------------------------------------


class FeeChange(msgspec.Struct, frozen=True, kw_only=True):
    """Fees that will hold, or did, from `scheduled` on. Of an event, None falls back to the fees of its series."""

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
    scheduled_ts: Moment


class _SeriesChanges(msgspec.Struct):
    series_fee_change_arr: list[_SeriesChange] | None = None


class _EventChange(msgspec.Struct, gc=False):
    id: str
    event_ticker: str
    series_ticker: str
    scheduled_ts: Moment
    fee_type_override: str | None
    fee_multiplier_override: float | None


class _EventChanges(msgspec.Struct):
    event_fee_changes: list[_EventChange]
    cursor: str | None = None


def _series_change(wire: _SeriesChange) -> FeeChange:
    return FeeChange(
        id=wire.id,
        series_ticker=wire.series_ticker,
        fees=FeeSchedule(FeeType(wire.fee_type), _thousandths(wire.fee_multiplier)),
        scheduled=ts_of(wire.scheduled_ts),
    )


def _event_change(wire: _EventChange) -> FeeChange:
    kind, multiplier = wire.fee_type_override, wire.fee_multiplier_override
    if (kind is None) != (multiplier is None):
        raise ValueError(f"event {wire.event_ticker}: a fee change of type {kind!r} and multiplier {multiplier!r}")
    fees = None if kind is None or multiplier is None else FeeSchedule(FeeType(kind), _thousandths(multiplier))
    return FeeChange(
        id=wire.id,
        series_ticker=wire.series_ticker,
        event_ticker=wire.event_ticker,
        fees=fees,
        scheduled=ts_of(wire.scheduled_ts),
    )


_series_changes_body = msgspec.json.Decoder(_SeriesChanges)
_event_changes_body = msgspec.json.Decoder(_EventChanges)


def read_series_fee_changes(body: bytes) -> list[FeeChange]:
    """`GET /series/fee_changes`."""
    return read(
        _series_changes_body,
        lambda wire: [_series_change(change) for change in wire.series_fee_change_arr or ()],
        body,
        "fee changes of series",
    )


def read_event_fee_changes(body: bytes) -> Page[FeeChange]:
    """`GET /events/fee_changes`."""
    return read(
        _event_changes_body,
        lambda w: Page([_event_change(change) for change in w.event_fee_changes], w.cursor or ""),
        body,
        "fee changes of events",
    )


# -- metadata and forecasts ---------------------------------------------------------------------------------------


class MarketImage(msgspec.Struct, frozen=True):
    """How one market is drawn."""

    market_ticker: str
    image_url: str = ""
    color_code: str = ""


class EventMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """How an event is presented, and what its outcome is taken from."""

    image_url: str
    featured_image_url: str
    competition: str
    competition_scope: str
    settlement_sources: tuple[tuple[str, str], ...]
    markets: tuple[MarketImage, ...]


class _Metadata(msgspec.Struct):
    image_url: str = ""
    featured_image_url: str = ""
    competition: str | None = None
    competition_scope: str | None = None
    settlement_sources: list[_Source] | None = None
    market_details: tuple[MarketImage, ...] | None = None


class Percentile(msgspec.Struct, frozen=True):
    """What the market thinks is not exceeded with this chance: `percentile` is in hundredths of a percent."""

    percentile: int
    forecast: float
    formatted: str = ""


class ForecastPoint(msgspec.Struct, frozen=True):
    """The forecast of an event's value at the end of a period of `interval_min` minutes (0: five seconds)."""

    event_ticker: str
    end: Ts
    interval_min: int
    percentiles: tuple[Percentile, ...]


class _Percentile(msgspec.Struct, gc=False):
    percentile: int
    numerical_forecast: float
    formatted_forecast: str = ""


class _Forecast(msgspec.Struct, gc=False):
    event_ticker: str
    end_period_ts: int
    period_interval: int
    percentile_points: list[_Percentile]


class _Forecasts(msgspec.Struct):
    forecast_history: list[_Forecast] | None = None


def _metadata(wire: _Metadata) -> EventMetadata:
    return EventMetadata(
        image_url=wire.image_url,
        featured_image_url=wire.featured_image_url,
        competition=wire.competition or "",
        competition_scope=wire.competition_scope or "",
        settlement_sources=_sources(wire.settlement_sources),
        markets=wire.market_details or (),
    )


def _forecast(wire: _Forecast) -> ForecastPoint:
    return ForecastPoint(
        wire.event_ticker,
        seconds(wire.end_period_ts),
        wire.period_interval,
        tuple(Percentile(p.percentile, p.numerical_forecast, p.formatted_forecast) for p in wire.percentile_points),
    )


_metadata_body = msgspec.json.Decoder(_Metadata)
_forecasts_body = msgspec.json.Decoder(_Forecasts)


def read_event_metadata(body: bytes) -> EventMetadata:
    """`GET /events/{event_ticker}/metadata`."""
    return read(_metadata_body, _metadata, body, "an event's metadata")


def read_forecasts(body: bytes) -> list[ForecastPoint]:
    """`GET .../forecast_percentile_history`."""
    return read(_forecasts_body, lambda w: [_forecast(one) for one in w.forecast_history or ()], body, "forecasts")
