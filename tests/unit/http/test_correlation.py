"""The headers that a request is found by again: which are echoed, parsed or not."""

import pytest

from service.http.headers.correlation import echo_of, echo_of_unparsed, for_log

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("value", "fine"),
    [
        (b"a1", True),
        (b"x" * 128, True),
        (b"a b~!", True),
        (b"x" * 129, False),
        (b"", False),
        (b" ", False),
        (b"a\tb", False),
        (b"\xe9", False),
        (b"a\x7f", False),
        (b"a\x1b[0m", False),
    ],
)
def test_echo_is_printable_ascii_that_is_not_too_long_and_else_nothing(
    value: bytes, fine: bool
) -> None:
    expected = [(b"x-request-id", value)] if fine else []
    assert echo_of({b"host": b"x", b"x-request-id": value}) == expected
    head = b"POST /predict HTTP/1.1\r\nX-Request-Id:" + value + b"\r\nhost: x\r\n\r\n"
    assert echo_of_unparsed(head) == expected


def test_echo_of_an_unparsed_request_reads_its_head_and_nothing_of_its_body() -> None:
    head = b"POST /predict HTTP/1.1\r\ntraceparent: %s\r\nhost: x\r\n\r\n\r\nx-request-id: b\r\n"
    assert echo_of_unparsed(head % TRACE) == [(b"traceparent", TRACE)]
    assert echo_of_unparsed(b"") == []


def test_echo_has_names_of_its_own_in_the_log() -> None:
    echo = echo_of({b"traceparent": TRACE, b"x-request-id": b"a1"})
    assert for_log(echo) == {"request_id": "a1", "traceparent": TRACE.decode()}
