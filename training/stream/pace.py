"""How far a pass over a log is, as a line now and then."""

import time
from collections.abc import Callable

SECONDS = 10.0  # between two lines


class Pace:
    """Says how a pass called `name` gets on; `size`: bytes of all files."""

    def __init__(self, name: str, size: float, say: Callable[[str], None]) -> None:
        self._name, self._size, self._say = name, size, say
        self._began = self._said = time.monotonic()
        self._rows, self._done = 0, 0.0

    def add(self, rows: int, size: float) -> None:
        """So many rows more are done, of so many bytes."""
        self._rows += rows
        self._done += size
        now = time.monotonic()
        if now - self._said >= SECONDS:
            self._said = now
            self._say(f"{self._words(now)}{self._left(now)}")

    def ended(self) -> None:
        """All rows are done."""
        self._say(self._words(time.monotonic()))

    def _words(self, now: float) -> str:
        speed = self._rows / max(now - self._began, 1e-9)
        return f"{self._name}: {self._rows:,} rows, {speed:,.0f} rows/s"

    def _left(self, now: float) -> str:
        if not self._size or not self._done:
            return ""
        share = min(self._done / self._size, 1.0)
        return f", {share:.0%}, {time_words((now - self._began) * (1 - share) / share)} left"


def time_words(seconds: float) -> str:
    """A span of time for people: 40 s, 3 min, 2.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
