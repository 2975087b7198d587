"""What a caller of HTTP/1.0, HTTP/2 or another version is answered."""

from typing import Any

import pytest

from raw_connection import BODY, is_scored


def test_another_version_of_http_is_505(caller: Any) -> None:
    caller.send(b"GET /healthz HTTP/2.0\r\n\r\n")
    status, problem = caller.answer()
    assert (status, problem["code"]) == (505, "http_version_not_supported")
    assert caller.answer() is None


@pytest.mark.parametrize("split", [3, 18, 24])
def test_http_2_is_sent_away_in_its_own_terms(caller: Any, split: int) -> None:
    data = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" * 3
    caller.send(data[:split], data[split:], b"\0\0\0\4\0\0\0\0\0")
    got = b""
    while part := caller.socket.recv(1 << 16):
        got += part
    assert got.startswith(b"\0\0\0\x04\0\0\0\0\0")  # SETTINGS
    length, kind = int.from_bytes(got[9:12]), got[12]
    assert (length + 18, kind) == (len(got), 7)  # GOAWAY, to the end
    assert int.from_bytes(got[22:26]) == 0xD  # HTTP_1_1_REQUIRED


def test_keep_alive_of_http_1_0_is_honoured_where_it_is_asked_for(head: Any, caller: Any) -> None:
    old = head(f"content-length: {len(BODY)}\r\n", "connection: keep-alive\r\n")
    for _ in range(3):
        caller.send(old.replace(b"HTTP/1.1", b"HTTP/1.0") + BODY)
        assert is_scored(caller.answer())
        assert "\r\nconnection: keep-alive" in caller.head
    caller.send(b"GET /healthz HTTP/1.0\r\nexpect: 100-continue\r\n\r\n")
    assert caller.answer()[0] == 200
    assert caller.answer() is None


@pytest.mark.parametrize("value", ["keep-alive, close", "Close , keep-alive"])
def test_close_of_http_1_0_wins_over_keep_alive(value: str, head: Any, caller: Any) -> None:
    old = head(f"content-length: {len(BODY)}\r\n", f"connection: {value}\r\n")
    caller.send(old.replace(b"HTTP/1.1", b"HTTP/1.0") + BODY)
    assert is_scored(caller.answer())
    assert caller.answer() is None
