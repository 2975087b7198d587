"""How far a worker is with its stop, as its routes and connections ask.

A balancer needs time to notice: until the wait is over, whatever comes is answered, each answer
with `connection: close`, so that callers' pools leave by themselves.
"""

from time import monotonic


class Drain:
    """Whether this worker is about to stop; `seconds`: how long it still takes requests."""

    def __init__(self, seconds: float) -> None:
        self.begun = False
        """From here on each answer is the last one of its connection."""
        self.unready = False
        """And `/readyz` sends whoever asks elsewhere."""
        self.seconds = seconds
        self._until = 0.0

    def begin(self, *, unready: bool) -> None:
        """Begin to wait; a second time only adds that it is `unready`. A signal's handler may."""
        if not self.begun:
            self._until = monotonic() + self.seconds
            self.begun = True
        self.unready = self.unready or unready

    def is_over(self) -> bool:
        """Whether it has begun, and waited long enough."""
        return self.begun and monotonic() >= self._until
