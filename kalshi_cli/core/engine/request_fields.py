"""The fields of an order request, for the error of one that was built with other fields."""

from __future__ import annotations

import dis
from types import CodeType, TracebackType

from kalshi_cli.core.model.intents import Amend, Cancel, Place

REQUESTS = {kind.__name__: kind for kind in (Place, Amend, Cancel)}
"""The order requests of a strategy by name."""


def fields_text(error: BaseException) -> str:
    """Return the fields of the order request whose constructor raised this error, or an empty text.

    The error of a constructor names the wrong field, but not the class; the failed call of the traceback does.
    """
    trace = error.__traceback__
    if not isinstance(error, TypeError) or trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    kind = REQUESTS.get(_called_name(trace.tb_frame.f_code, trace))
    return "" if kind is None else f"; {kind.__name__} takes {', '.join(kind.__struct_fields__)}"


def _called_name(code: CodeType, trace: TracebackType) -> str:
    """Return the name of the function or class whose call raised: the last one loaded where the call begins."""
    found = list(dis.get_instructions(code))
    starts = {each.offset: each.positions[0::2] for each in found if each.positions is not None}
    at = starts.get(trace.tb_lasti)
    names = [each.argval for each in found if each.opname.startswith("LOAD_") and starts.get(each.offset) == at]
    return next((name for name in reversed(names) if isinstance(name, str)), "")
