"""A toolkit for trading event contracts on Kalshi: `from kalshi_cli import Kalshi`. See docs/python.md."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kalshi_cli.base.version import __version__ as __version__

if TYPE_CHECKING:
    from kalshi_cli.app.kalshi import Kalshi as Kalshi
    from kalshi_cli.base import errors as errors
    from kalshi_cli.base import units as units
    from kalshi_cli.core.model.order_terms import SelfTradePrevention as SelfTradePrevention
    from kalshi_cli.core.model.order_terms import TimeInForce as TimeInForce
    from kalshi_cli.services.orders.amend import AmendRequest as AmendRequest
    from kalshi_cli.services.orders.close import ClosePolicy as ClosePolicy
    from kalshi_cli.services.orders.place import OrderTicket as OrderTicket
    from kalshi_cli.services.research.search.optimize import OptimizeRequest as OptimizeRequest
    from kalshi_cli.views.frames import to_dict as to_dict
    from kalshi_cli.views.frames import to_dicts as to_dicts
    from kalshi_cli.views.frames import to_pandas as to_pandas
    from kalshi_cli.views.frames import to_polars as to_polars

_FOUND_IN = {
    "Kalshi": "kalshi_cli.app.kalshi",
    "AmendRequest": "kalshi_cli.services.orders.amend",
    "OptimizeRequest": "kalshi_cli.services.research.search.optimize",
    "ClosePolicy": "kalshi_cli.services.orders.close",
    "OrderTicket": "kalshi_cli.services.orders.place",
    "SelfTradePrevention": "kalshi_cli.core.model.order_terms",
    "TimeInForce": "kalshi_cli.core.model.order_terms",
    "to_dict": "kalshi_cli.views.frames",
    "to_dicts": "kalshi_cli.views.frames",
    "to_pandas": "kalshi_cli.views.frames",
    "to_polars": "kalshi_cli.views.frames",
}
"""Public name -> its module, imported on first use so that the command line starts without any of them."""

_MODULES = ("errors", "units")
"""Public modules of `base`."""

__all__ = ["__version__", *_FOUND_IN, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"kalshi_cli.base.{name}")
    if name not in _FOUND_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FOUND_IN[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
