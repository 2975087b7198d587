"""`afm-serve publish` in a process of its own that has its imports behind it, so that a moment of
its life is a moment of its work.
"""

import multiprocessing
import os
import resource
import sys
import tempfile
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from service.cli import main

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "service.versions.publish",
        "service.versions.gate.publish_gate",
        "service.store.publication",
    ]
)


class Publisher(ForkServerProcess):
    """A publish of `bundle` with these settings; `file_limit`: bytes that a file may have."""

    def __init__(self, bundle: Path, env: dict[str, str], file_limit: int | None = None) -> None:
        super().__init__()
        self._arguments = ["publish", "--force", "--no-wait", str(bundle)]
        self._env = env
        self._file_limit = file_limit
        handle, name = tempfile.mkstemp()
        os.close(handle)
        self._said = Path(name)

    def run(self) -> None:
        """In the new process."""
        os.environ.update(self._env)
        if self._file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self._file_limit, self._file_limit))
        with self._said.open("w") as said:
            sys.stdout = sys.stderr = said
            code = main(self._arguments)
        sys.exit(code)

    def ended(self) -> tuple[int | None, str]:
        """Its exit status, once it has one, and what it said."""
        self.join(60)
        said = self._said.read_text()
        self._said.unlink()
        return self.exitcode, said
