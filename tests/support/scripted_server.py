"""A real server on loopback that gives one answer after the other, as a test writes them."""

import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Answer = bytes | Callable[["socketserver.StreamRequestHandler"], None]
FINE = {
    "model": "default",
    "version": "v1",
    "degraded": False,
    "probabilities": [0.25, 0.75],
    "errors": [],
}


def answer(status: int, body: Any = None, **headers: object) -> bytes:
    """An answer as HTTP/1.1 has it; `retry_after_ms` is the header `retry-after-ms`."""
    content = json.dumps(body or {"code": "overloaded", "detail": "later"}).encode()
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def trickle(handler: "socketserver.StreamRequestHandler") -> None:
    """A head that never ends, a byte at a time."""
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        while True:
            handler.wfile.write(b"a")
            time.sleep(0.005)
    except OSError:
        pass


class Scripted:
    """What the server was asked: the headers of each request, and how many connections it had."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, str]] = []
        self.connections = 0
        self.url = ""
        self.lock = threading.Lock()


@contextmanager
def scripted(*answers: Answer) -> Iterator[Scripted]:
    """Gives the answers in turn, the last one for ever; b"" closes the connection."""
    script = Scripted(answers)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with script.lock:
                script.connections += 1
            while line := self.rfile.readline():
                headers = {}
                while (line := self.rfile.readline().strip()) != b"":
                    name, _, value = line.decode().partition(":")
                    headers[name.lower()] = value.strip()
                self.rfile.read(int(headers.get("content-length", 0)))
                with script.lock:
                    script.asked.append(headers)
                    many = len(script.answers) > 1
                    given = script.answers.pop(0) if many else script.answers[0]
                if callable(given):
                    given(self)
                    return
                if not given:
                    return
                self.wfile.write(given)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        script.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield script
        finally:
            server.shutdown()
