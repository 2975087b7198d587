"""Callers that close their connection before they are answered: nothing more is worked for them."""

import json
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from until import until

ROWS = [{"device": "ios", "ad": f"a{n % 12}", "price": n / 7} for n in range(900)]
HEAD = (
    b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
)


def request(path: Any, body: Any) -> Any:
    data = json.dumps(body).encode()
    return HEAD % (path.encode(), len(data)) + data


def samples(client: Any) -> Any:
    """The metrics by name and the values of their labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (one.name, *one.labels.values()): one.value for family in families for one in family.samples
    }


@pytest.mark.parametrize("together", [1, 3])
def test_callers_that_leave_are_counted_as_none_and_give_their_rows_back(
    served: Callable[..., httpx.Client], together: int
) -> None:
    client = served()
    asked = request("/explain", {"instances": ROWS, "top": None})
    callers = []
    for _ in range(together):
        callers.append(socket.create_connection(("127.0.0.1", client.base_url.port)))
        callers[-1].sendall(asked)
    until(lambda: samples(client)[("afm_rows_in_flight",)] > 0)
    for caller in callers:
        caller.close()
    until(lambda: samples(client).get(("afm_requests_total", "/explain", "none")) == together)
    found = samples(client)
    assert found[("afm_rows_in_flight",)] == 0
    assert not found.get(("afm_requests_total", "/explain", "200"))
    assert found[("afm_rows_total", "/explain")] == 0  # none was scored to its end


def test_a_caller_that_leaves_amid_pipelined_requests_writes_no_error(
    served: Callable[..., httpx.Client], capfd: pytest.CaptureFixture[str]
) -> None:
    # nothing is read while a second request waits: the first one's end is when it shows
    client = served()
    asked = request("/explain", {"instances": ROWS, "top": None})
    with socket.create_connection(("127.0.0.1", client.base_url.port)) as caller:
        caller.sendall(asked + asked)
        until(lambda: samples(client)[("afm_rows_in_flight",)] > 0)
    until(lambda: samples(client).get(("afm_requests_total", "/explain", "none")))
    assert "ASGI callable" not in "".join(capfd.readouterr())


def test_a_body_that_breaks_off_is_counted_as_none(served: Callable[..., httpx.Client]) -> None:
    client = served()
    asked = request("/predict", {"instances": ROWS})
    with socket.create_connection(("127.0.0.1", client.base_url.port)) as caller:
        caller.sendall(asked[: len(asked) // 2])
    until(lambda: samples(client).get(("afm_requests_total", "/predict", "none")))
    assert not samples(client).get(("afm_requests_total", "/predict", "400"))
