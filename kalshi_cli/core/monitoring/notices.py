"""What is delivered to a person: one notice, the same for every sink.

`alert_board.py` decides when there is one; `notify/notifier.py` delivers it. The JSON that a plain webhook gets is this
struct as msgspec writes it, with times as text; its fields are a contract (docs/alerts.md).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from kalshi_cli.base.units import Ts

Kind = Literal["firing", "reminder", "resolved", "event", "test"]
"""Something begins to be so; still is; is so no more; happened once; nothing is: somebody tries the sinks."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """`count` things of one kind are told together; `subjects` names the first of them.

    `notice_id` stays the same however often delivery is tried: a receiver may drop what it has seen. `value` and
    `limit` are as a person reads them, empty where the code has none; `unit` is what they are counted in. `since` is
    when it began, `ts` when this was decided.
    """

    notice_id: str
    kind: Kind
    tier: str
    event: str
    code: str
    subject: str
    text: str
    env: str
    since: Ts
    ts: Ts
    value: str = ""
    limit: str = ""
    unit: str = ""
    count: int = 1
    subjects: tuple[str, ...] = ()
    runbook: str = ""
    command: str = ""

    @property
    def title(self) -> str:
        """One line for a phone: `CRITICAL UNKNOWN_ORDER kcli...: ...`, with [prod] and RESOLVED where that is so."""
        words = {"resolved": "RESOLVED ", "reminder": "STILL ", "test": "TEST "}.get(self.kind, "")
        more = f" (+{self.count - 1} more)" if self.count > 1 else ""
        return f"[{self.env}] {words}{self.tier.upper()} {self.code} {self.subject}{more}".rstrip()
