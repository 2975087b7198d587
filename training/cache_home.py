"""Where this program keeps files for later."""

import os
from pathlib import Path


def cache_home() -> Path:
    """The program's folder in the user's cache directory (the XDG base directories).

    Raises:
        RuntimeError: the user has no home.
    """
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "ctr-afm"
