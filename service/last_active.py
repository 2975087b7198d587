"""A note beside a model's bundles: which version was active last, for a start without Redis."""

import os
import re
from pathlib import Path

from service.settings import NAME

NOTE = ".active"


def remember(folder: Path, version: str) -> bool:
    """Note that `version` is active; False where the folder cannot be written, as in a service that
    has the bundle store read-only: its publishers note it then.
    """
    note = folder / NOTE
    if remembered(folder) == version:
        return True
    scratch = folder / f"{NOTE}.{os.getpid()}"  # workers may note it at the same time
    try:
        scratch.write_text(version, encoding="utf-8")
        scratch.replace(note)
    except OSError:
        return False
    return True


def remembered(folder: Path) -> str | None:
    """The version that was active last; None where nobody noted it."""
    try:
        version = (folder / NOTE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    # the name of a directory beside the note, and of no other place
    return version if re.fullmatch(NAME, version) else None
