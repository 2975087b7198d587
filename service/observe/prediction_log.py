"""A sample of what was predicted, in files of JSON lines, for audits and for looking at drift.

A thread of its own writes. What it cannot keep up with is dropped and counted, so that no answer
waits for a disk; the files together stay below a size, the oldest goes first.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from random import random
from typing import Any

import msgspec
import structlog
from prometheus_client import Counter

MOST_BYTES = 256 << 20  # of the files together
MOST_WAITING = 100  # requests
FILES = 8  # in which the bytes lie at most, so that the oldest eighth goes
FLUSH_SECONDS = 1.0
PATTERN = "predictions-*.jsonl"

Lines = Callable[[], Iterable[dict[str, Any]]]

log = structlog.get_logger()


class PredictionLog:
    """Writes into `folder`. `share`: of the requests. `most_bytes`: of all its files, whoever wrote
    them. `counter`: of requests, by `event`.
    """

    def __init__(
        self, folder: Path, share: float, counter: Counter, most_bytes: int = MOST_BYTES
    ) -> None:
        self._folder = folder
        self._share = share
        self._most_bytes = most_bytes
        self._file_bytes = max(most_bytes // FILES, 1)
        self._events = {event: counter.labels(event) for event in ("written", "dropped")}
        self._waiting: queue.Queue[Lines | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._path: Path | None = None

    def start(self) -> None:
        """Begin to write."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, for a second at most."""
        if self._thread is not None:
            try:
                self._waiting.put(None, timeout=FLUSH_SECONDS)
            except queue.Full:
                return
            self._thread.join(FLUSH_SECONDS)

    def offer(self, lines: Lines) -> None:
        """Keep what `lines` gives, called by another thread, if chance has it and there is room."""
        if random() >= self._share:  # noqa: S311  a sample, and no secret
            return
        try:
            self._waiting.put_nowait(lines)
        except queue.Full:
            self._events["dropped"].inc()

    def _run(self) -> None:
        while (lines := self._waiting.get()) is not None:
            try:
                self._write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines()))
            except Exception as error:  # whatever a disk or a row does, the next one is written
                self._events["dropped"].inc()
                log.warning("a prediction was not logged", kind=type(error).__name__)
            else:
                self._events["written"].inc()

    def _write(self, data: bytes) -> None:
        if self._path is None or self._path.stat().st_size + len(data) > self._file_bytes:
            self._path = self._folder / f"predictions-{time.time_ns()}-{os.getpid()}.jsonl"
        with self._path.open("ab") as file:
            file.write(data)
        self._remove_the_oldest()

    def _remove_the_oldest(self) -> None:
        # their names begin with when they were begun
        paths = sorted(self._folder.glob(PATTERN))
        whole = sum(path.stat().st_size for path in paths)
        for path in paths:
            if whole <= self._most_bytes:
                return
            whole -= path.stat().st_size
            path.unlink(missing_ok=True)
            if path == self._path:
                self._path = None
