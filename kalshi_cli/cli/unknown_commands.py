"""The hint for a command that does not exist: the nearest one; its help where it sends an order or ends a halt."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches

from kalshi_cli.base.errors import ExitCode
from kalshi_cli.cli.exit_codes import ENDS

_UNLOCKS = frozenset({"resume", "unlock", "stop", "state rebuild", "catalog clear"})


def is_harmless(command: str) -> bool:
    """Return whether a hint may name this command as it is typed: it sends no order and ends no halt."""
    writes = {ExitCode.REFUSED, ExitCode.UNKNOWN_OUTCOME}  # `order show` of an unconfirmed order ends with 7 as well
    return not writes <= ENDS.get(command, frozenset()) and command not in _UNLOCKS


OTHER_NAMES = {
    **dict.fromkeys(("orders", "order ls"), "kalshi order list"),
    **dict.fromkeys(("order get", "order view", "order describe", "order status"), "kalshi order show ID"),
    **dict.fromkeys(("order history", "order all"), "kalshi order list --status all"),
    "account": "kalshi portfolio",
    "ls": "kalshi markets",
    **dict.fromkeys(("login", "auth login"), "kalshi init"),
    "auth": "kalshi health-check",
    **dict.fromkeys(("config view", "config list", "config get"), "kalshi config show"),
    "history": "kalshi fills",
    **dict.fromkeys(("book", "price"), "kalshi orderbook TICKER"),
    "search": "kalshi markets --search WORDS",
    "export lots": "kalshi export tax-lots",
    **dict.fromkeys(("alerts ack", "alerts acknowledge", "ack"), "kalshi alerts silence CODE --until-over"),
}
"""Names that users of other programs type -> the command that reads the same; none of them sends an order."""

ORDER_FORMS = {
    **dict.fromkeys(("by", "byu", "order buy"), "kalshi buy TICKER COUNT @PRICE"),
    "order sell": "kalshi sell TICKER COUNT @PRICE",
    "amend": "kalshi order amend ID --price PRICE",
}
"""Names that are typed for a command that sends an order -> its form, which sends nothing as it is."""

OTHER_FORMS = {
    "version": "kalshi --version",
    **dict.fromkeys(("order delete", "order rm"), "kalshi order cancel ID"),
}
"""Names that are typed for an option, or for a cancel of one order -> its form."""

_VERBS = frozenset({"get", "list", "ls", "show", "view", "describe"})
"""Words that other programs have before the name of a list."""

STOP_NAMES = frozenset({"cancelall", "cancel_all", "kill", "killswitch", "halt", "panic"})
STOP_HINT = "to halt trading and cancel all orders: `kalshi cancel-all`; only to stop new orders: `kalshi pause`"
"""Names that users try for the kill switch, and its hint. Nothing is sent before they type the real name."""


def _means_stop(typed: str, names: Collection[str]) -> bool:
    """Return whether a name among these commands is nearest to the kill switch, as `canel-all` is."""
    if "cancel-all" not in names:
        return False
    stops = STOP_NAMES | {"cancel-all"}
    return not stops.isdisjoint(get_close_matches(typed, sorted(stops.union(names)), 1, cutoff=0.75))


def hint_for(path: str, words: Sequence[str], names: Collection[str]) -> str:
    """Return the hint where the first of `words` is not among the commands below `path`; "" if none is near."""
    typed = words[0]
    if typed == "help" and len(words) > 1 and words[1] in names:
        return f"did you mean `{path} {words[1]} -h`?"
    if typed in _VERBS and path == "kalshi" and len(words) > 1:
        return hint_for(path, words[1:2], names)
    if _means_stop(typed.lower(), names):
        return STOP_HINT
    name = f"{path} {typed}".partition(" ")[2]
    known = OTHER_NAMES | ORDER_FORMS | OTHER_FORMS
    if meant := known.get(" ".join([name, *words[1:2]])) or known.get(name):
        return f"did you mean `{meant}`?"
    return next((_meant(path, near) for near in get_close_matches(typed, names, 1, cutoff=0.7)), "")


def _meant(path: str, name: str) -> str:
    """Return the question for the nearest command; what it says to type sends nothing."""
    command = f"{path} {name}"
    if is_harmless(command.partition(" ")[2]):
        return f"did you mean `{command}`?"
    return f"did you mean {name}? See `{command} -h`"
