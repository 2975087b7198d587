"""A call that cannot be sent is one plain error that says where, and costs no request."""

from collections.abc import Iterator
from typing import Any

import pytest
from ctr_afm_client import AsyncClient, Client, ClientError, InvalidCall

from scripted_server import FINE, answer, scripted

ROWS = [{"ad": "a1"}, {"ad": "a2"}]
DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]


@pytest.fixture
def client() -> Iterator[Client]:
    with (
        scripted(answer(200, FINE)) as server,
        Client(server.url, timeout_ms=30_000, fallback=0.5) as made,
    ):
        yield made
        assert made.sent == len(server.asked) == 0


@pytest.mark.parametrize("timeout_ms", ["5", 0, -1, float("nan"), float("inf"), True, [5]])
def test_a_deadline_that_is_no_number_of_milliseconds(client: Client, timeout_ms: Any) -> None:
    said = "timeout_ms must be a number of milliseconds above 0, not"
    for call in (client.predict, client.explain, client.what_if):
        with pytest.raises(InvalidCall, match=said):
            call(ROWS, timeout_ms=timeout_ms)
    for ask in (client.model, client.is_ready):
        with pytest.raises(InvalidCall, match=said):
            ask(timeout_ms=timeout_ms)
    with pytest.raises(InvalidCall, match=said):
        AsyncClient("http://127.0.0.1:1", timeout_ms=timeout_ms)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"cars"}, "a set has no form in JSON"),
        (b"a", "a bytes has no form in JSON"),
        (float("nan"), "a number must be finite"),
        ([1.0, float("inf")], "a number must be finite"),
        ("\ud800", "half of a surrogate pair is not a character"),
        (DEEP, "it is nested too deep"),
    ],
)
def test_a_value_that_json_has_no_form_for(client: Client, value: Any, said: str) -> None:
    with pytest.raises(InvalidCall) as caught:
        client.predict([{"ad": "a1"}, {"ad": "a2", "price": value}], {"device": "ios"})
    error = caught.value
    assert (str(error), error.row, error.field) == (f"row 1, field 'price': {said}", 1, "price")
    with pytest.raises(InvalidCall) as caught:
        client.explain(ROWS, {"device": value})
    error = caught.value
    assert (str(error), error.row, error.field) == (
        f"context, field 'device': {said}",
        None,
        "device",
    )


def test_what_is_no_list_of_dictionaries(client: Client) -> None:
    wrong: Any = [
        (ROWS[0], "rows must be a list of dictionaries, not one dict"),
        ("a1", "rows must be a list of dictionaries, not one str"),
        (iter(ROWS), "rows must be a list of dictionaries, not one list_iterator"),
        ([*ROWS, {1}], "row 2 must be a dictionary, not a set"),
        ([{("a", 1): "a1"}], "row 0: the name ('a', 1) must be a string"),
    ]
    for rows, said in wrong:
        with pytest.raises(InvalidCall) as caught:
            client.predict(rows)
        assert str(caught.value) == said
    option: Any = {1}
    with pytest.raises(InvalidCall, match="top: a set has no form in JSON"):
        client.explain(ROWS, top=option)


def test_it_is_an_error_of_the_client_and_a_value_error() -> None:
    assert issubclass(InvalidCall, ClientError)
    assert issubclass(InvalidCall, ValueError)
