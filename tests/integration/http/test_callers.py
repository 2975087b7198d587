"""One caller never harms another: over raw sockets, to a running `afm-serve`."""

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from commands import Commands
from model.bundle.bundle import Bundle
from raw_requests import ROWS, connect, cut, received, request, status_and_code

PATIENCE = 1.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Iterator[Any]:
    commands = Commands(tmp_path_factory.mktemp("callers"))
    commands.publish(tiny_bundle.directory)
    with commands.serving(AFM_CLIENT_TIMEOUT_SECONDS=str(PATIENCE)) as running:
        running.wait_until("/readyz", lambda answer: answer.status_code == 200)
        yield running


@pytest.fixture
def neighbour(served: Any) -> Iterator[Any]:
    """Asks all the while, and checks at the end that each answer was what it always is."""
    over: Any = threading.Event()
    answers: list[Any] = []
    expected = httpx.post(served.url + "/predict", json={"instances": ROWS}).json()

    def ask() -> None:
        with httpx.Client(base_url=served.url, timeout=10) as client:
            while len(answers) < 10 or not over.is_set():
                answers.append(client.post("/predict", json={"instances": ROWS}).json())

    thread = threading.Thread(target=ask)
    thread.start()
    yield
    over.set()
    thread.join()
    assert len(answers) >= 10
    assert all(answer == expected for answer in answers)


@pytest.mark.usefixtures("neighbour")
def test_callers_that_reset_mid_head_mid_body_or_before_the_answer_harm_nobody(served: Any) -> None:
    whole = request()
    for number in range(300):
        found = connect(served)
        found.sendall(whole[: len(whole) * (number % 10 + 1) // 10])
        if number % 2:  # a reset instead of an end
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        found.close()
    assert "Traceback" not in served.log.read_text()


@pytest.mark.usefixtures("neighbour")
@pytest.mark.parametrize(
    "sent", [b"POST /pre", b"POST /predict HTTP/1.1\r\nhost: h", request()[:-1]]
)
def test_a_request_that_does_not_end_is_408_and_closed_however_it_trickles(
    served: Any, sent: Any
) -> None:
    before = cut(served, "slow_request")
    with connect(served) as found:
        found.sendall(sent[:-3])
        for byte in sent[-3:]:
            time.sleep(PATIENCE / 5)
            found.sendall(bytes([byte]))
        assert status_and_code(received(found)) == (408, "request_timeout")
    assert cut(served, "slow_request") == before + 1


@pytest.mark.usefixtures("neighbour")
def test_a_caller_that_does_not_read_its_answers_is_cut_off(served: Any) -> None:
    before = cut(served, "slow_reader")
    body = json.dumps({"instances": ROWS * 60, "top": None}).encode()
    with socket.socket() as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        found.connect(("127.0.0.1", served.port))
        found.sendall(request(body, path="/explain") * 8)
        deadline = time.monotonic() + 20
        while cut(served, "slow_reader") == before:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_caller_that_is_slow_between_two_requests_is_not_cut_off(served: Any) -> None:
    with httpx.Client(base_url=served.url) as client:
        first = client.post("/predict", json={"instances": ROWS}).extensions["network_stream"]
        time.sleep(PATIENCE * 2)
        second = client.post("/predict", json={"instances": ROWS}).extensions["network_stream"]
        assert first.get_extra_info("client_addr") == second.get_extra_info("client_addr")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz?" + b"q" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nx: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + b"x: y\r\n" * 5_000 + b"\r\n",
        b"GET /" + b"endless" * 20_000,
        b"GET / HTTP/1.1\r\nx: " + b"endless" * 20_000,
    ],
)
def test_a_head_over_the_limit_is_431_and_closed(served: Any, head: Any) -> None:
    with connect(served) as found:
        found.sendall(head)
        assert status_and_code(received(found)) == (431, "head_too_large")


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01" * 50,
        b"GET  HTTP/9\r\n\r\n",
        b"BREW /predict HTTP/1.1\r\nHost: pot\r\n\r\n",
    ],
)
def test_bytes_that_are_not_http_get_400_as_a_problem(served: Any, data: Any) -> None:
    with connect(served) as found:
        found.sendall(data)
        assert status_and_code(received(found)) == (400, "bad_request")


def test_a_compressed_body_is_refused_unread(served: Any) -> None:
    with connect(served) as found:
        found.sendall(request(more="content-encoding: gzip\r\nconnection: close\r\n"))
        assert status_and_code(received(found)) == (415, "unsupported_content_encoding")


def rows_of(value: Any) -> Any:
    return {"instances": [{"ad": "a1"}, {"ad": "a2", "x": value}]}


def nested(depth: Any) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("x" * 16_385, "text_too_long"),
        (["y", "x" * 16_385], "text_too_long"),
        ([1] * 1001, "list_too_long"),
        ({str(i): i for i in range(1001)}, "list_too_long"),
        (nested(14), "nested_too_deep"),
        (nested(500), "nested_too_deep"),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_a_part_over_its_limit_is_422_with_its_row_in_either_form(
    served: Any, value: Any, code: str, known: bool
) -> None:
    ads = [{"ad": f"a{i}"} for i in range(20)]
    bodies = [
        {"instances": [*ads, {"ad": "a2", "x": value}]},
        {"context": {"device": "ios"}, "candidates": [*ads, {"ad": "a2", "x": value}]},
    ]
    if known:  # ads met before, so that only the new one is read
        ask: dict[str, Any] = {"context": {"device": "ios"}, "candidates": ads}
        assert httpx.post(served.url + "/predict", json=ask).status_code == 200
    for body in bodies:
        problem = httpx.post(served.url + "/predict", json=body).json()
        assert (problem["code"], problem["row"], problem["field"]) == (code, 20, "x")
    for body in ({"context": {"device": "ios", "x": value}, "candidates": ads},):
        problem = httpx.post(served.url + "/predict", json=body).json()
        assert (problem["code"], problem.get("row"), problem["field"]) == (code, None, "x")


def test_parts_at_their_limits_are_taken(served: Any) -> None:
    for value in ("x" * 16_384, [1] * 1000, nested(13)):
        assert httpx.post(served.url + "/predict", json=rows_of(value)).status_code == 200
    many = {"ad": "a1"} | {str(i): i for i in range(999)}
    assert httpx.post(served.url + "/predict", json={"instances": [many]}).status_code == 200
    many["x"] = 1
    answer = httpx.post(served.url + "/predict", json={"instances": [many]})
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_keys")


def test_a_bad_ad_among_known_ones_is_named_by_its_place(served: Any) -> None:
    ads = [{"ad": f"a{i}"} for i in range(150)]
    body: dict[str, Any] = {"context": {"device": "ios"}, "candidates": ads}
    assert httpx.post(served.url + "/predict", json=body).status_code == 200
    for place in (0, 7, 120):
        for wrong, code in ((5, "not_a_list_of_objects"), ({"price": "x"}, "wrong_type")):
            body["candidates"] = [*ads[:place], wrong, *ads[place:]]
            problem = httpx.post(served.url + "/predict", json=body).json()
            assert (problem["code"], problem["row"]) == (code, place)


LIMIT = 8 << 20  # the default of AFM_MAX_BODY_BYTES


def filled(begin: Any, item: Any, end: Any) -> Any:
    """As large as a body may be."""
    return begin + b",".join([item] * ((LIMIT - len(begin + end)) // (len(item) + 1))) + end


KEYS = b",".join(b'"%x":1' % i for i in range(800_000))
FLOODS = {
    "deep": b'{"instances":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "keys": b'{"instances":[{' + KEYS + b"}]}",
    "keys and NaN": b'{"instances":[{' + KEYS + b',"x":NaN}]}',
    "keys of a context": b'{"context":{' + KEYS + b'},"candidates":[{"ad":"a1"}]}',
    "keys, not whole": b'{"instances":[{' + KEYS,
    "rows": filled(b'{"instances":[', b"{}", b"]}"),
    "rows that are none": filled(b'{"context":{},"candidates":[', b"1", b"]}"),
    "lists": filled(b'{"instances":[{"ad":[', b"[]", b"]}]}"),
    "objects": filled(b'{"instances":[{"ad":[', b'{"a":1}', b"]}]}"),
    "a text": b'{"instances":[{"ad":"' + b"x" * (1 << 20) + b'"}]}',
    "a wide text": b'{"instances":[{"ad":"' + b"x" * (LIMIT - 50) + "\U0001f600".encode() + b'"}]}',
    "texts": filled(b'{"context":{},"candidates":[', b'{"x":"%s"}' % (b"x" * 16_000), b"]}"),
}


@contextmanager
def little_memory(served: Any) -> Iterator[Any]:
    """RSS rises by less than twice the limit, from an idle worker to the peak."""
    folder = Path(f"/proc/{served.process.pid}")

    def kib(name: Any) -> Any:
        return int((folder / "status").read_text().partition(f"{name}:")[2].split()[0])

    (folder / "clear_refs").write_text("5")  # the peak begins anew
    before = kib("VmRSS")
    yield
    assert kib("VmHWM") - before < 2 * LIMIT // 1024


@pytest.mark.usefixtures("neighbour")
@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_refused_in_little_memory(served: Any, name: Any) -> None:
    kind = {"content-type": "application/json"}
    with little_memory(served):
        for _ in range(3):
            answer = httpx.post(
                served.url + "/predict", content=FLOODS[name], headers=kind, timeout=30
            )
            assert answer.status_code in (400, 413, 422), answer.text


@pytest.mark.usefixtures("neighbour")
def test_a_flood_of_chunks_is_refused_in_little_memory(served: Any) -> None:
    with little_memory(served), connect(served) as found:
        found.sendall(
            request().partition(b"content-length")[0] + b"transfer-encoding: chunked\r\n\r\n"
        )
        for _ in range(50):
            found.sendall(b"1\r\n1\r\n" * 2000)
        found.sendall(b"0\r\n\r\n")
        assert found.recv(1 << 16).startswith(b"HTTP/1.1 422")
