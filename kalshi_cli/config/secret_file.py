"""An address, or another secret, in a file of its own, read as ssh reads a key."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from kalshi_cli.base.errors import ConfigError
from kalshi_cli.base.file_trust import doubt_file
from kalshi_cli.base.files import OtherKindError, open_regular

LONGEST = 4_000


def read_address(path: Path) -> str:
    """The first line of the file. ConfigError where it is missing, empty, not ours, or others may read it."""
    try:
        descriptor = open_regular(path)
    except OtherKindError as error:
        raise _refused(path, "it is not a file", "give a file with the address on its first line") from error
    except OSError as error:
        raise _refused(path, f"it cannot be opened ({error.strerror})", "check the path and who may read it") from error
    try:
        # The open file is asked, not the name: a link is followed first, and nothing can be swapped in between.
        status = os.fstat(descriptor)
        if hasattr(os, "geteuid"):
            if status.st_uid != os.geteuid():
                raise _refused(path, "it belongs to another user", "copy it, and keep it to yourself")
            if status.st_mode & 0o077:
                mode = stat.S_IMODE(status.st_mode)
                raise _refused(path, f"others may use it (mode {mode:04o})", f"chmod 600 {path}")
            if (doubt := doubt_file(path, descriptor)) is not None:
                raise _refused(path, doubt.why, doubt.remedy)
        with open(descriptor, "rb", closefd=False) as file:
            text = file.read(LONGEST)
    except OSError as error:
        raise _refused(path, f"it cannot be read ({error.strerror})", "check the file") from error
    finally:
        os.close(descriptor)
    lines = text.decode("utf-8", "replace").split()
    if len(lines) != 1:
        raise _refused(path, "it does not hold one address", "write the address into it, and nothing else")
    return lines[0]


def _refused(path: Path, why: str, hint: str) -> ConfigError:
    return ConfigError(f"the address in {path} cannot be used: {why}", hint=hint)
