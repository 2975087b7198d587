"""Requests as raw bytes to a running afm-serve, and the raw answers."""

import json
import socket
from typing import Any

import httpx

ROWS = [{"device": "ios", "hour": 21, "ad": f"a{i}", "price": i / 2} for i in range(6)]
BODY = json.dumps({"instances": ROWS}).encode()


def request(body: Any = BODY, more: Any = "", path: Any = "/predict") -> Any:
    head = f"POST {path} HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n{more}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def connect(served: Any) -> Any:
    return socket.create_connection(("127.0.0.1", served.port), 10)


def received(found: Any) -> Any:
    """Everything until the server closes."""
    data = b""
    try:
        while part := found.recv(1 << 16):
            data += part
    except ConnectionResetError:
        pass
    return data


def status_and_code(data: Any) -> Any:
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["code"]


def cut(served: Any, reason: Any) -> Any:
    lines = httpx.get(served.url + "/metrics").text.splitlines()
    wanted = f'afm_callers_cut_total{{reason="{reason}"}} '
    return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))
