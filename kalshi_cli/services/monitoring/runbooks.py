"""The runbooks shipped with this program; reading one needs no network."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

import msgspec

from kalshi_cli.base.errors import CredentialsError, KalshiError, OutcomeUnknownError, StateFileError, UsageError
from kalshi_cli.core.monitoring.runbook_index import EXIT_CODES, REMEDIES

PACKAGE = Path(__file__).parents[2]
FOLDERS = (PACKAGE / "runbooks", PACKAGE.parent / "runbooks")
"""The folder inside the installed package, or next to it in a working copy."""


class Runbook(msgspec.Struct, frozen=True):
    """A runbook. `name` is the one that alerts and checks show; `text` is Markdown whose first line is the title."""

    name: str
    text: str

    @property
    def title(self) -> str:
        """Return the first line of the text."""
        return self.text.partition("\n")[0].lstrip("# ")


NO_ACTION = "no-action"
"""The runbook of codes that only inform."""

OTHER_CODES = {"MANUAL": "halted", "RESUMED": NO_ACTION, "TEST": NO_ACTION}
"""The runbooks of codes that have no remedy of their own."""


def runbooks() -> tuple[Runbook, ...]:
    """Return all runbooks, sorted by name."""
    folder = next((each for each in FOLDERS if each.is_dir()), FOLDERS[0])
    return tuple(Runbook(path.stem, path.read_text("utf-8")) for path in sorted(folder.glob("*.md")))


def runbook(name: str) -> Runbook:
    """Return the runbook of this name, alert code or exit code.

    Raises UsageError with the closest name if it does not exist.
    """
    shipped = {each.name: each for each in runbooks()}
    remedy = REMEDIES.get(name.upper())
    if remedy is not None:
        wanted = remedy.runbook or NO_ACTION
    else:
        wanted = EXIT_CODES.get(name) or OTHER_CODES.get(name.upper()) or name.lower().removesuffix(".md")
    if wanted not in shipped:
        near = [each for each in shipped if wanted in each] or get_close_matches(wanted, shipped, 1)
        hint = f"did you mean {near[0]}?" if near else "`kalshi runbook` lists the runbooks"
        raise UsageError(f"No runbook {name}", hint=hint, code="no_runbook")
    return shipped[wanted]


def runbook_of_error(error: BaseException) -> str:
    """Return the runbook of the error that ended a command; "" if it has none.

    Where orders may be live because the key or the clock was rejected, it is that of the rejection: nothing else works.
    """
    if isinstance(error, OutcomeUnknownError) and isinstance(error.__cause__, CredentialsError):
        error = error.__cause__
    if isinstance(error, KalshiError) and error.runbook:
        return error.runbook
    if isinstance(error, CredentialsError) and error.is_clock:
        return "clock-skew"
    if isinstance(error, StateFileError) and error.code == "state_full":
        return "disk-full"
    return EXIT_CODES.get(str(error.exit_code.value), "") if isinstance(error, KalshiError) else ""
