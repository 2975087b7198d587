"""What a caller says in headers beside its request: a deadline."""

import socket

import pytest

BODY = {"instances": [{"device": "ios", "ad": "a1", "price": 3.5}]}
ROWS = [{**BODY["instances"][0], "price": n / 7} for n in range(3000)]


def test_deadline_header_and_body_count_by_the_smaller_one(served):
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
def test_deadline_header_that_is_no_number_is_422(served, path):
    answer = served().post(path, json=BODY, headers={"x-timeout-ms": "soon"})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_timeout_header")
    assert "x-timeout-ms" in answer.json()["detail"]
    assert "soon" not in answer.text


def test_deadline_header_holds_for_sending_the_body_before_the_default_does(served):
    client = served(timeout_ms=60_000)
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += b"x-timeout-ms: 30\r\ncontent-length: 9\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", client.base_url.port), 10) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 504 ")
