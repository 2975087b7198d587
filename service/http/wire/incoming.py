"""What the wire knows of a request, as it hands it to the app: in the state of the ASGI scope."""

from time import perf_counter
from typing import Any

from service.http.headers.correlation import Echo
from service.scoring.admission import Expected

KEY = "incoming"  # in the state


class Sender:
    """Whoever is at the other end of a connection; `left`: whether it has closed it."""

    left = False


class Incoming:
    """One request, from its first bytes to its answer.

    `received_at`: when its first bytes came, by `perf_counter`. `expected`: how the admission
    counts it where it was let in at the socket, or None. `headers`: by name; of several of one name
    the last. `echo`: those that its answer repeats. `refused_as`: the status that was sent past the
    app, where one was. `rows`: how many it has, as soon as that is known.
    """

    __slots__ = ("echo", "expected", "headers", "received_at", "refused_as", "rows", "sender")

    def __init__(
        self, received_at: float, sender: Sender, expected: Expected | None = None
    ) -> None:
        self.received_at = received_at
        self.sender = sender
        self.expected = expected
        self.headers: dict[bytes, bytes] = {}
        self.echo: Echo = []
        self.refused_as: str | None = None
        self.rows: int | None = None


def incoming(scope: Any) -> Incoming:
    """The request of a scope; made of its headers where another server received it."""
    state = scope.setdefault("state", {})
    found: Incoming | None = state.get(KEY)
    if found is None:
        found = state[KEY] = Incoming(perf_counter(), Sender())
        found.headers = dict(scope.get("headers", ()))
    return found
