"""Notes beside a model's bundles: which versions were active, newest first, which of them were live
and which recent requests refused. A worker that starts goes by them, with Redis or without it.

The file has one line for each version: its name, the outcome and the reason, as far as they are
known.

>>> from tempfile import TemporaryDirectory
>>> with TemporaryDirectory() as folder:
...     noted = write_note(Path(folder), "v1", LIVE)
...     read_notes(Path(folder))
[ActiveNote(version='v1', outcome='live', reason='')]
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from model.files.file_locks import locked_folder
from service.setting_groups import NAME

NOTE = ".active"
LIVE = "live"
MAX_NOTED_VERSIONS = 10


class ActiveNote(NamedTuple):
    """A version that was active. `outcome`: LIVE where a worker answered by it while it was active,
    else the code by which recent requests refused it, with the `reason`; empty where no worker
    could note it.
    """

    version: str
    outcome: str = ""
    reason: str = ""

    @property
    def refused(self) -> bool:
        """Whether recent requests refused it."""
        return self.outcome not in ("", LIVE)


def write_note(folder: Path, version: str, outcome: str = "", reason: str = "") -> bool:
    """Note that `version` is active, and with which outcome; without one, the outcome that was
    noted before stays. False where the folder cannot be written, as in a service that has the
    bundle store read-only: its publishers note what is active.
    """
    try:
        with locked_folder(folder):  # workers and publishers note things at the same time
            before = read_notes(folder)
            known = next((one for one in before if one.version == version), None)
            note = ActiveNote(version, outcome, " ".join(reason.split())) if outcome else known
            others = [one for one in before if one.version != version]
            after = [note or ActiveNote(version), *others][:MAX_NOTED_VERSIONS]
            return _write(folder, before, after)
    except OSError:
        return False


def read_notes(folder: Path) -> list[ActiveNote]:
    """The notes, newest first; none where the file cannot be read."""
    try:
        lines = (folder / NOTE).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    found = [ActiveNote(*line.split(" ", 2)) for line in lines]
    # the name of a directory beside the note, and of no other place
    return [one for one in found if re.fullmatch(NAME, one.version)]


def _write(folder: Path, before: list[ActiveNote], after: list[ActiveNote]) -> bool:
    if after != before:
        scratch = folder / f"{NOTE}.{os.getpid()}"
        scratch.write_text("".join(f"{' '.join(one).rstrip()}\n" for one in after), "utf-8")
        scratch.replace(folder / NOTE)
    return True
