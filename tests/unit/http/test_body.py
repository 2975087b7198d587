"""Reading a body: whole, in chunks, too large, broken off."""

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from service.errors import BodyTooLarge, MediaTypeError
from service.http.endpoints.request_body import read_body, require_plain_json


def read(
    messages: list[dict[str, Any]], most: int = 10, announced: bytes | None = None
) -> tuple[bytes | str, int]:
    """What `read_body` makes of these messages, and how many of them it took."""
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return messages[taken - 1]

    headers = {} if announced is None else {b"content-length": announced}
    try:
        return asyncio.run(read_body(headers, receive, most)), taken
    except BodyTooLarge:
        return "too large", taken


def chunk(data: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


def test_a_body_in_one_piece() -> None:
    assert read([chunk(b"0123456789", more=False)], announced=b"10") == (b"0123456789", 1)


def test_a_body_in_chunks() -> None:
    assert read([chunk(b"01"), chunk(b""), chunk(b"23", more=False)]) == (b"0123", 3)


def test_no_body_at_all() -> None:
    assert read([{"type": "http.request"}]) == (b"", 1)


def test_an_announced_size_over_the_limit_is_refused_before_a_byte_is_read() -> None:
    assert read([], announced=b"11") == ("too large", 0)
    assert read([], announced=b"9" * 5000) == ("too large", 0)


def test_chunks_over_the_limit_are_refused_as_soon_as_they_are() -> None:
    flood = [chunk(b"x")] * 1000
    assert read(flood) == ("too large", 11)


def test_a_body_just_at_the_limit_is_read() -> None:
    assert read([chunk(b"x")] * 9 + [chunk(b"x", more=False)]) == (b"x" * 10, 10)


def test_a_size_announced_too_small_does_not_help() -> None:
    assert read([chunk(b"x" * 11, more=False)], announced=b"1") == ("too large", 1)


def test_a_caller_that_goes_away_is_noticed() -> None:
    with pytest.raises(ClientDisconnect):
        read([chunk(b"01"), {"type": "http.disconnect"}])


@pytest.mark.parametrize(
    "kind",
    [
        b"application/json",
        b"application/json; charset=utf-8",
        b"APPLICATION/JSON",
        b"application/a+json",
    ],
)
def test_content_types_that_are_json(kind: bytes) -> None:
    require_plain_json({b"content-type": kind})


@pytest.mark.parametrize(
    "kind", [b"", b"text/json", b"application/jsonp", b"application/xml", b"json", b"text/a+json"]
)
def test_content_types_that_are_not_json(kind: bytes) -> None:
    with pytest.raises(MediaTypeError, match="application/json"):
        require_plain_json({b"content-type": kind})
