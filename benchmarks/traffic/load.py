"""Load over keep-alive connections, from one thread over raw sockets: it costs little beside a
server. Closed loop: each connection sends the next request as soon as the last one is answered.
Open loop: requests are due at a constant rate, and a latency counts from when the request was due,
whether or not a connection was free by then: a server that falls behind cannot hide it (no
coordinated omission).
"""

import json
import selectors
import socket
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from time import perf_counter, process_time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Due = Sequence[float] | NDArray[np.float64]  # when requests are sent, in seconds from now

HEADER_END = b"\r\n\r\n"
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Load:
    """What a run came to: latencies in seconds, and the generator's share of a core."""

    requests_per_second: float
    p50: float
    p99: float
    longest: float
    busy: float


class Answer(NamedTuple):
    """One of an open loop: when its request was due and how much later it was answered, in seconds
    from the loop's begin, and by which status; the body where it is kept.
    """

    due: float
    latency: float
    status: int
    body: bytes = b""


def request_bytes(path: str, body: object) -> bytes:
    """A POST with a JSON body, as it goes over the wire."""
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


class Connection:
    """One keep-alive connection to 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self.status, self.body = 0, b""  # of the last answer

    def send(self, request: bytes) -> None:
        """Send a whole request."""
        self.socket.sendall(request)

    def receive(self, *, any_status: bool = False) -> bytes | None:
        """Read once; the body if the answer is whole now, else None.

        Raises:
            RuntimeError: any status but 200, unless it may be any; or a closed connection.
        """
        part = self.socket.recv(1 << 18)
        if not part:
            raise RuntimeError("the server closed the connection")
        self._received += part
        head, end, body = self._received.partition(HEADER_END)
        if not end:
            return None
        self.status = int(head[9:12])
        if self.status != 200 and not any_status:
            raise RuntimeError(f"not answered by 200: {self._received[:500]!r}")
        if len(body) < _content_length(head):
            return None
        self._received, self.body = b"", body
        return body

    def ask(self, request: bytes) -> Any:
        """Send a request and return the JSON of its answer."""
        self.send(request)
        while (body := self.receive()) is None:
            pass
        return json.loads(body)

    def close(self) -> None:
        """Close it."""
        self.socket.close()


def run_load(port: int, requests: list[bytes], connections: int, seconds: float) -> Load:
    """Send `requests` in turn over so many connections for about `seconds`, in a closed loop.

    Raises:
        RuntimeError: an answer other than 200.
    """
    numbers = count()
    latencies: list[float] = []
    sent_at: dict[Connection, float] = {}
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            connection = Connection(port)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            sent_at[connection] = 0.0
        began, busy = perf_counter(), process_time()
        for connection in sent_at:
            sent_at[connection] = perf_counter()
            connection.send(requests[next(numbers) % len(requests)])
        waiting = connections
        while waiting:
            for connection in _answered(selector, TIMEOUT_SECONDS):
                now = perf_counter()
                latencies.append(now - sent_at[connection])
                if now - began >= seconds:
                    waiting -= 1
                    continue
                sent_at[connection] = now
                connection.send(requests[next(numbers) % len(requests)])
        found = _load(latencies, perf_counter() - began, process_time() - busy)
        for connection in sent_at:
            connection.close()
    return found


def run_closed_load(
    port: int, requests: list[bytes], connections: int, seconds: float
) -> dict[int, float]:
    """Send `requests` in turn over so many connections for about `seconds`, in a closed loop that
    asks again at once whatever the answer is: answers a second, by status.
    """
    numbers = count()
    statuses: Counter[int] = Counter()
    with selectors.DefaultSelector() as selector:
        opened = [Connection(port) for _ in range(connections)]
        for connection in opened:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        began = perf_counter()
        for connection in opened:
            connection.send(requests[next(numbers) % len(requests)])
        while (took := perf_counter() - began) < seconds:
            for connection in _answered(selector, TIMEOUT_SECONDS, any_status=True):
                statuses[connection.status] += 1
                connection.send(requests[next(numbers) % len(requests)])
        for connection in opened:
            connection.close()
    return {status: number / took for status, number in statuses.items()}


def run_open_load(
    port: int, requests: list[bytes], connections: int, rate: float, seconds: float
) -> Load:
    """Send `requests` in turn at a constant `rate` a second over at most so many connections.

    Raises:
        RuntimeError: an answer other than 200.
    """
    due = np.arange(int(rate * seconds)) / rate
    answers, took, busy = _open_loop(port, requests, connections, due, any_status=False)
    return _load([answer.latency for answer in answers], took, busy)


def run_counted_load(
    port: int, requests: list[bytes], connections: int, due: Due, *, keep: bool = False
) -> list[Answer]:
    """Send `requests` in turn, each when it is `due`, in seconds from now; takes any status, and
    keeps the bodies of the answers where it should.
    """
    return _open_loop(port, requests, connections, due, any_status=True, keep=keep)[0]


def latencies(answers: list[Answer]) -> list[float]:
    """p50, p99 and the longest, in seconds."""
    return [float(q) for q in np.quantile([one.latency for one in answers], (0.5, 0.99, 1))]


def _open_loop(
    port: int,
    requests: list[bytes],
    connections: int,
    due: Due,
    *,
    any_status: bool,
    keep: bool = False,
) -> tuple[list[Answer], float, float]:
    # the answers, what they took in all, and what of that the generator was busy
    total = len(due)
    answers: list[Answer] = []
    due_at: dict[Connection, float] = {}
    with selectors.DefaultSelector() as selector:
        free = deque[Connection]()
        for _ in range(connections):
            connection = Connection(port)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            free.append(connection)
        began, busy = perf_counter(), process_time()
        sent = 0
        while len(answers) < total:
            now = perf_counter() - began
            while free and sent < total and due[sent] <= now:
                connection = free.popleft()  # in turn: a server ends one that is idle for long
                due_at[connection] = due[sent]
                connection.send(requests[sent % len(requests)])
                sent += 1
            wait = TIMEOUT_SECONDS
            if free and sent < total:
                # epoll rounds up to milliseconds: the last one is spent asking again and again
                wait = max(due[sent] - (perf_counter() - began) - 0.002, 0.0)
            for connection in _answered(
                selector, wait, may_be_none=bool(free), any_status=any_status
            ):
                was_due = due_at[connection]
                latency = perf_counter() - began - was_due
                body = connection.body if keep else b""
                answers.append(Answer(was_due, latency, connection.status, body))
                free.append(connection)
        took, busy = perf_counter() - began, process_time() - busy
        for connection in free:
            connection.close()
    return answers, took, busy


def _answered(
    selector: selectors.BaseSelector,
    wait: float,
    *,
    may_be_none: bool = False,
    any_status: bool = False,
) -> list[Connection]:
    # the connections whose answer is whole now
    ready = selector.select(wait)
    if not ready and not may_be_none:
        raise RuntimeError(f"no answer within {TIMEOUT_SECONDS} s")
    return [key.data for key, _ in ready if key.data.receive(any_status=any_status) is not None]


def _load(latencies: list[float], took: float, busy: float) -> Load:
    p50, p99 = np.quantile(latencies, (0.5, 0.99))
    return Load(len(latencies) / took, float(p50), float(p99), max(latencies), busy / took)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise RuntimeError(f"no content-length: {head!r}")
