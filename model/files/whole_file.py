"""A file that is there whole or not at all, whenever its writer is killed.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     with whole_file(Path(folder) / "note.txt") as file:
...         _ = file.write(b"42")
...     (Path(folder) / "note.txt").read_text()
'42'
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A binary file to write, which takes the place of `path` in one step when the block ends well.
    When the block raises, `path` stays as it was.

    Raises:
        OSError: the file cannot be written.
    """
    aside = path.with_name(f".{path.name}.new")
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
