"""Where a request ends is beyond doubt: raw bytes to a running `afm-serve` that asks for keys."""

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raw_connection import BODY, Caller, is_scored
from streams import Asked, streams

SMUGGLED = b"GET /model HTTP/1.1\r\nhost: x\r\n\r\n"
UPGRADES = [
    "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
    "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n",
    "Connection: keep-alive, UPGRADE\r\nUpgrade: what/1\r\n",
    "proxy-connection: upgrade\r\nupgrade: foo\r\nupgrade: bar\r\n",
]
CHUNKED = b"7\r\n%s\r\n%x;a=b\r\n%s\r\n0\r\nx: y\r\n\r\n" % (BODY[:7], len(BODY) - 7, BODY[7:])
BODIES = {
    "length": (f"content-length: {len(BODY)}\r\n", BODY),
    "chunked": ("transfer-encoding: chunked\r\n", CHUNKED),
}


@pytest.mark.parametrize("framing", BODIES)
@pytest.mark.parametrize("upgrade", UPGRADES)
def test_an_upgrade_is_ignored_wherever_head_and_body_are_split(
    keyed: Any, head: Any, caller: Any, upgrade: Any, framing: Any
) -> None:
    length, body = BODIES[framing]
    whole = head(upgrade, length) + body
    split = len(whole) - len(body)
    caller.send(whole + whole)  # in one packet, and a successor
    for at in (1, split - 3, split, split + 1, len(whole) - 1):
        caller.send(whole[:at], whole[at:])
    for _ in range(7):
        assert is_scored(caller.answer())
    assert "upgrade" not in caller.head
    caller.send(b"GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert caller.answer() == (200, {"status": "alive"})
    assert caller.answer() is None
    assert "pgrade" not in keyed.log.read_text()


def test_an_upgrade_byte_by_byte_is_ignored(head: Any, caller: Any) -> None:
    length, body = BODIES["chunked"]
    whole = head(UPGRADES[0], length) + body
    for place in range(len(whole)):
        caller.socket.sendall(whole[place : place + 1])
        time.sleep(0.0005)
    assert is_scored(caller.answer())


def test_a_body_of_an_upgrade_that_is_a_request_is_not_carried_out(head: Any, caller: Any) -> None:
    for filler in (b"", b"\r\n" * 5000):
        body = filler + SMUGGLED
        caller.send(head(UPGRADES[2], f"content-length: {len(body)}\r\n"), body)
        status, problem = caller.answer()
        assert (status, problem["code"]) == (400, "malformed_json")
    caller.send(head(f"content-length: {len(BODY)}\r\n") + BODY)
    assert is_scored(caller.answer())


def test_a_large_body_of_an_upgrade_comes_whole(head: Any, caller: Any) -> None:
    body = BODY + b" " * (19_000 - len(BODY))
    caller.send(head(UPGRADES[0], "content-length: 19000\r\n"), body[:9000], body[9000:])
    assert is_scored(caller.answer())


def test_trailers_are_no_headers(head: Any, caller: Any) -> None:
    trailers = b"connection: upgrade\r\nupgrade: foo\r\nexpect: 100-continue\r\n"
    trailers += b"content-encoding: gzip\r\nx-api-key: ?\r\n"
    whole = head("transfer-encoding: chunked\r\n")
    chunked = whole + CHUNKED.replace(b"x: y\r\n", trailers)
    caller.send(chunked + chunked)
    assert is_scored(caller.answer())
    assert is_scored(caller.answer())


def test_a_trailer_that_ends_the_connection_ends_it(head: Any, caller: Any) -> None:
    caller.send(head("transfer-encoding: chunked\r\n"))
    caller.send(CHUNKED.replace(b"x: y", b"connection: close") + SMUGGLED)
    assert is_scored(caller.answer())
    assert caller.answer() is None


def test_connect_is_400_and_closed(caller: Any) -> None:
    caller.send(b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\nupgrade: foo\r\nconnection: upgrade\r\n\r\n")
    assert caller.answer()[0] == 400
    assert caller.answer() is None


REFUSED = {
    401: {"key": "none"},
    403: {"key": "admin"},
    404: {"path": "/nothing", "key": "admin"},
    405: {"path": "/model", "key": "admin"},
    415: {"kind": "text/plain"},
}


@pytest.mark.parametrize("status", [*REFUSED, 413])
@pytest.mark.parametrize("expects", [False, True])
def test_a_body_that_is_still_coming_when_it_is_refused_is_no_request(
    head: Any, caller: Any, status: Any, expects: bool
) -> None:
    body = SMUGGLED * (1000 if status == 413 else 3)
    more = [f"content-length: {len(body)}\r\n"] + ["expect: 100-continue\r\n"] * expects
    caller.send(head(*more, **REFUSED.get(status, {})))
    assert caller.answer()[0] == status
    assert ("connection: close" in caller.head) == expects
    caller.send(body[: len(body) // 2], body[len(body) // 2 :])  # also after the refusal
    if not expects:
        caller.send(head(f"content-length: {len(BODY)}\r\n") + BODY)
        assert is_scored(caller.answer())
        return
    assert caller.answer() is None


def test_caller_that_holds_a_body_back_gets_100_where_it_is_wanted(head: Any, caller: Any) -> None:
    for _ in range(2):
        caller.send(head(f"content-length: {len(BODY)}\r\n", "expect: 100-continue\r\n"))
        assert caller.answer() == (100, None)
        caller.send(BODY)
        assert is_scored(caller.answer())


@pytest.mark.parametrize(
    "framing",
    [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ncontent-length: 5\r\n",
        "content-length: 5, 5\r\n",
        "content-length: +5\r\n",
        "content-length : 5\r\n",
        "content-length:\r\n",
        "x: y\r\n content-length: 5\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: chunked, gzip\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
    ],
)
@pytest.mark.parametrize("upgrade", ["", UPGRADES[0]])
def test_a_request_whose_end_is_in_doubt_is_400_once_and_closed(
    head: Any, caller: Any, framing: str, upgrade: Any
) -> None:
    caller.send(head(framing, upgrade) + b"0\r\n\r\n" + SMUGGLED)
    status, problem = caller.answer()
    assert (status, problem["code"]) == (400, "bad_request")
    assert caller.answer() is None


def test_chunks_of_http_1_0_are_400_and_closed(head: Any, caller: Any) -> None:
    whole = head("transfer-encoding: chunked\r\n", "connection: keep-alive\r\n") + CHUNKED
    caller.send(whole.replace(b"HTTP/1.1", b"HTTP/1.0") + SMUGGLED)
    assert caller.answer()[0] == 400
    assert caller.answer() is None


@pytest.mark.parametrize("garbage", [b"\0\0\0", b"GET /a b HTTP/1.1\r\n\r\n", b"x" * 20_000])
def test_request_before_garbage_is_answered_first(head: Any, caller: Any, garbage: Any) -> None:
    good = head(f"content-length: {len(BODY)}\r\n") + BODY
    caller.send(good * 3 + garbage)
    for _ in range(3):
        assert is_scored(caller.answer())
    assert caller.answer()[0] in (400, 431)
    assert caller.answer() is None


def test_a_body_that_breaks_off_behind_others_is_refused_in_its_turn(
    head: Any, caller: Any
) -> None:
    good = head(f"content-length: {len(BODY)}\r\n") + BODY
    caller.send(good + head("transfer-encoding: chunked\r\n") + b"5\r\nab\r\n" + SMUGGLED + good)
    assert is_scored(caller.answer())
    assert caller.answer()[0] == 400
    assert caller.answer() is None


def test_bytes_after_the_last_request_are_not_read(head: Any, caller: Any) -> None:
    good = head(f"content-length: {len(BODY)}\r\n", "connection: close\r\n") + BODY
    caller.send(good + SMUGGLED + b"\0")
    assert is_scored(caller.answer())
    assert caller.answer() is None


def test_a_packet_that_ends_within_a_head_counts_that_head_alone(head: Any, caller: Any) -> None:
    good = head(f"content-length: {len(BODY)}\r\n") + BODY
    many = good * 200
    caller.send(many[:-100], many[-100:])
    for _ in range(200):
        assert is_scored(caller.answer())


def test_trailers_have_the_limit_of_a_head(head: Any, caller: Any) -> None:
    caller.send(head("transfer-encoding: chunked\r\n", kind="text/plain"))
    assert caller.answer()[0] == 415
    caller.send(CHUNKED.removesuffix(b"\r\n"), *[b"x: y\r\n" * 2000] * 4)
    assert caller.answer() is None


def test_a_refusal_at_the_socket_has_a_phrase_and_a_date(caller: Any) -> None:
    caller.send(b"nonsense\r\n\r\n")
    assert caller.answer()[0] == 400
    assert caller.head.startswith("http/1.1 400 bad request\r\n")
    assert "\r\ndate: " in caller.head
    assert "\r\nconnection: close" in caller.head


def test_a_pipelining_caller_that_leaves_writes_no_line(keyed: Any, head: Any, caller: Any) -> None:
    before = len(keyed.log.read_text().splitlines())
    for _ in range(20):
        leaving = Caller(keyed)
        leaving.socket.sendall((head(f"content-length: {len(BODY)}\r\n") + BODY) * 10)
        leaving.answer()
        leaving.socket.close()
    caller.send(b"GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert caller.answer()[0] == 200
    assert keyed.log.read_text().splitlines()[before:] == []


def test_a_byte_order_mark_is_ignored(head: Any, caller: Any) -> None:
    body = b"\xef\xbb\xbf" + BODY
    caller.send(head(f"content-length: {len(body)}\r\n") + body)
    assert is_scored(caller.answer())


@pytest.mark.parametrize("body", [b"", b" \r\n", b"\xef\xbb\xbf"])
def test_an_empty_body_is_called_empty(head: Any, caller: Any, body: bytes) -> None:
    caller.send(head(f"content-length: {len(body)}\r\n") + body)
    status, problem = caller.answer()
    assert (status, problem["code"]) == (400, "malformed_json")
    assert problem["detail"] == "the body is empty"


def test_a_compressed_body_is_refused_by_what_is_accepted(head: Any, caller: Any) -> None:
    caller.send(head("content-length: 3\r\n", "content-encoding: gzip\r\n") + b"abc")
    status, problem = caller.answer()
    assert (status, problem["code"]) == (415, "unsupported_content_encoding")
    assert "\r\naccept-encoding: identity" in caller.head
    assert problem["detail"].endswith("not 'gzip'")


@pytest.mark.parametrize(
    ("kind", "said"), [("text/plain; x=y", "as 'text/plain; x=y'"), ("", "without one")]
)
def test_a_body_of_another_type_is_refused_by_what_was_sent(
    head: Any, caller: Any, kind: str, said: str
) -> None:
    caller.send(head("content-length: 3\r\n", kind=kind) + b"abc")
    status, problem = caller.answer()
    assert (status, problem["code"]) == (415, "unsupported_media_type")
    assert problem["detail"].endswith(said)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(cases=st.lists(streams(), min_size=8, max_size=8))
def test_streams_are_answered_as_a_plain_parser_reads_them(keyed: Any, cases: Any) -> None:
    assert Asked(keyed.port, keyed.keys).differences(cases) == []
