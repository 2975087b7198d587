"""What a caller says in headers: a deadline, what finds its request again, the coding it takes."""

import gzip
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import structlog

from service.http.headers.coding import LEAST_BYTES
from until import until

BODY = {"instances": [{"device": "ios", "ad": "a1", "price": 3.5}]}
ROWS = [{**BODY["instances"][0], "price": n / 7} for n in range(3000)]


def test_deadline_header_and_body_count_by_the_smaller_one(
    served: Callable[..., httpx.Client],
) -> None:
    client = served(timeout_ms=60_000)
    for header, body, status in (
        ("1", None, 504),
        ("1", 60_000, 504),
        ("60000", 1, 504),
        ("60000", 60_000, 200),
        ("60000", None, 200),
    ):
        asked = {"instances": ROWS, "timeout_ms": body}
        answer = client.post("/predict", json=asked, headers={"x-timeout-ms": header})
        assert answer.status_code == status, (header, body)
        if status == 504:
            assert answer.json()["code"] == "deadline_passed"
            assert "1 ms" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_deadline_header_that_is_no_number_is_422(
    served: Callable[..., httpx.Client], path: str
) -> None:
    answer = served().post(path, json=BODY, headers={"x-timeout-ms": "soon"})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_timeout_header")
    assert "x-timeout-ms" in answer.json()["detail"]
    assert "soon" not in answer.text


def test_deadline_header_holds_for_sending_the_body_before_the_default_does(
    served: Callable[..., httpx.Client],
) -> None:
    client = served(timeout_ms=60_000)
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += b"x-timeout-ms: 30\r\ncontent-length: 9\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", client.base_url.port), 10) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 504 ")


def as_sent(client: Any, method: Any, path: Any, accepted: Any, **more: Any) -> Any:
    """Headers and undecoded body of an answer."""
    headers = {"accept-encoding": accepted}
    with client.stream(method, path, headers=headers, **more) as answer:
        assert answer.status_code == 200
        return answer.headers, b"".join(answer.iter_raw())


def test_large_explanation_is_gzip_of_the_plain_one(served: Callable[..., httpx.Client]) -> None:
    client = served()
    asked = {"json": {"instances": ROWS[:100], "top": None}}
    plain_headers, plain = as_sent(client, "POST", "/explain", "identity", **asked)
    headers, small = as_sent(client, "POST", "/explain", "br, gzip;q=0.5", **asked)
    assert gzip.decompress(small) == plain
    assert len(small) < len(plain) / 3
    assert headers["content-encoding"] == "gzip"
    assert int(headers["content-length"]) == len(small)
    assert headers["vary"] == plain_headers["vary"] == "accept-encoding"
    assert "content-encoding" not in plain_headers


def test_gzip_is_for_large_answers_of_every_such_path_and_can_be_refused(
    served: Callable[..., httpx.Client],
) -> None:
    client = served()
    large = {"json": {"instances": ROWS}}
    for method, path, more, coded in (
        ("POST", "/predict", large, True),
        ("POST", "/predict", {"json": BODY}, False),
        ("GET", "/metrics", {}, True),
        ("GET", "/openapi.json", {}, True),
        ("GET", "/healthz", {}, False),
        ("GET", "/docs", {}, False),
    ):
        headers, body = as_sent(client, method, path, "gzip", **more)
        assert (headers.get("content-encoding") == "gzip") == coded, path
        assert ("vary" in headers) == coded
        if coded:
            assert int(headers["content-length"]) == len(body)
            assert gzip.decompress(body)
        plain_headers, plain = as_sent(client, method, path, "identity", **more)
        assert "content-encoding" not in plain_headers
        assert (len(plain) >= LEAST_BYTES) == coded, path
        if coded and path != "/metrics":
            assert gzip.decompress(body) == plain
    head = client.head("/openapi.json")
    assert (head.status_code, head.headers["content-encoding"]) == (200, "gzip")


IDS = {"x-request-id": "r-1", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad-01"}
LOGGED = {"request_id": IDS["x-request-id"], "traceparent": IDS["traceparent"]}


def raw(client: Any, data: Any) -> Any:
    """What comes back for these bytes, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", client.base_url.port), 10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while part := connection.recv(65536):
            found += part
    return found


def test_correlation_headers_come_back_on_every_answer_and_none_is_made_up(
    served: Callable[..., httpx.Client],
) -> None:
    client = served(max_head_bytes=600)
    for method, path, body, status in (
        ("POST", "/predict", BODY, 200),
        ("POST", "/predict", {}, 422),
        ("POST", "/explain", BODY, 200),
        ("GET", "/predict", None, 405),
        ("GET", "/nothing", None, 404),
        ("HEAD", "/healthz", None, 200),
        ("GET", f"/healthz?{'x' * 600}", None, 431),
    ):
        answer = client.request(method, path, json=body, headers=IDS)
        assert answer.status_code == status
        assert {name: answer.headers.get(name) for name in IDS} == IDS, (path, status)
    assert not client.post("/predict", json=BODY).headers.keys() & IDS.keys()
    assert "x-request-id" not in client.get("/x", headers={"x-request-id": "x" * 129}).headers


def test_correlation_headers_of_pipelined_requests_stay_with_their_answers(
    served: Callable[..., httpx.Client],
) -> None:
    asked = [b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-request-id: n%d\r\n\r\n" % n for n in range(5)]
    found = raw(served(), b"".join([*asked, b"nonsense\r\n\r\n"]))
    heads = found.split(b"HTTP/1.1 ")[1:7]
    assert [head[:3] for head in heads] == [b"200"] * 5 + [b"400"]
    for number, head in enumerate(heads[:5]):
        assert b"\r\nx-request-id: n%d\r\n" % number in head
    assert b"x-request-id" not in heads[5]


def test_access_log_has_a_line_for_each_request_and_no_value_of_it(
    served: Callable[..., httpx.Client],
) -> None:
    client = served(access_log=True, client_timeout_seconds=0.4, max_head_bytes=600)
    with structlog.testing.capture_logs(
        processors=[structlog.contextvars.merge_contextvars]
    ) as lines:
        client.post("/predict", json={"instances": ROWS[:3]}, headers=IDS)
        client.get("/secret", headers=IDS)
        client.get(f"/healthz?secret={'x' * 600}", headers=IDS)
        client.get("/healthz")
        head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", client.base_url.port), 10) as connection:
            connection.sendall(head + b"x-request-id: r-1\r\ncontent-length: 9\r\n\r\n{")
            answer = connection.recv(65536)
        assert b" 408 " in answer
        assert b"\r\nx-request-id: r-1\r\n" in answer
        until(lambda: len([one for one in lines if one["event"] == "request"]) == 5)
    lines = [one for one in lines if one["event"] == "request"]
    said = [(one["status"], one["route"], one.get("rows"), one.get("request_id")) for one in lines]
    assert said == [
        ("200", "/predict", 3, "r-1"),
        ("404", "unknown", None, "r-1"),
        ("431", "unknown", None, "r-1"),
        ("200", "/healthz", None, None),
        ("408", "/predict", None, "r-1"),
    ]
    assert LOGGED.items() <= lines[0].items()
    assert "secret" not in str(lines)
    assert "ios" not in str(lines)
