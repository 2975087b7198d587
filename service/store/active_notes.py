"""Notes beside a model's bundles: which versions were active, newest first, which of them were live
and which recent requests refused. A worker that starts goes by them, with Redis or without it.

One line a version: its name, and what a worker found of it, if one did and could write here.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from model.files.file_locks import locked_folder
from service.setting_groups import NAME

NOTE = ".active"
LIVE = "live"
MOST = 10  # versions that are noted


class Noted(NamedTuple):
    """A version that was active. `found`: LIVE where a worker answered by it while it was, else the
    code by which recent requests refused it, and `why`; empty where no worker could note it.
    """

    version: str
    found: str = ""
    why: str = ""

    @property
    def refused(self) -> bool:
        """Whether recent requests refused it."""
        return self.found not in ("", LIVE)


def remember(folder: Path, version: str, found: str = "", why: str = "") -> bool:
    """Note that `version` is active, and what was found of it; without `found`, what stands there
    stays. False where the folder cannot be written, as in a service that has the bundle store
    read-only: its publishers note what is active.
    """
    try:
        with locked_folder(folder):  # workers and publishers note things at the same time
            before = noted(folder)
            known = next((one for one in before if one.version == version), None)
            new = Noted(version, found, " ".join(why.split())) if found else known
            others = [one for one in before if one.version != version]
            return _write(folder, before, [new or Noted(version), *others][:MOST])
    except OSError:
        return False


def noted(folder: Path) -> list[Noted]:
    """What was noted, newest first."""
    try:
        lines = (folder / NOTE).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    found = [Noted(*line.split(" ", 2)) for line in lines]
    # the name of a directory beside the note, and of no other place
    return [one for one in found if re.fullmatch(NAME, one.version)]


def _write(folder: Path, before: list[Noted], after: list[Noted]) -> bool:
    if after != before:
        scratch = folder / f"{NOTE}.{os.getpid()}"
        scratch.write_text("".join(f"{' '.join(one).rstrip()}\n" for one in after), "utf-8")
        scratch.replace(folder / NOTE)
    return True
