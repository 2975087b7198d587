"""A connection to a running afm-serve, and the answers that have come on it."""

import json
import re
import socket
import time
from typing import Any

BODY = json.dumps({"instances": [{"device": "ios", "ad": "a1"}] * 2}).encode()


class Caller:
    """A connection, and the answers that have come on it."""

    def __init__(self, served: Any) -> None:
        self.socket = socket.create_connection(("127.0.0.1", served.port), 10)
        self.got = b""

    def send(self, *parts: Any) -> None:
        for part in parts:
            self.socket.sendall(part)
            time.sleep(0.01)

    def answer(self) -> Any:
        """The next one's status and body; None when the connection has ended before it."""
        while b"\r\n\r\n" not in self.got:
            if not self._more():
                assert not self.got
                return None
        head, _, self.got = self.got.partition(b"\r\n\r\n")
        self.head = head.decode().lower()
        length = re.search(r"content-length: (\d+)", self.head)
        size = int(length[1]) if length else 0
        while len(self.got) < size:
            assert self._more()
        body, self.got = self.got[:size], self.got[size:]
        return int(head.split()[1]), json.loads(body) if body else None

    def _more(self) -> Any:
        part = self.socket.recv(1 << 16)
        self.got += part
        return bool(part)


def is_scored(answer: Any) -> Any:
    assert answer is not None
    return answer[0] == 200 and len(answer[1]["probabilities"]) == 2
