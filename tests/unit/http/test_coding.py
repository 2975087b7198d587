"""Which `accept-encoding` takes gzip, and that a large answer holds nobody up."""

import asyncio
import gzip
import threading
import zlib
from typing import Any

import pytest

from service.http.headers.coding import THREAD_BYTES, coded, takes_gzip


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        *(("gzip", True), ("GZIP", True), ("gzip, deflate, br", True), ("br , gzip;q=0.1", True)),
        *(("*", True), ("gzip ; q=1.000", True), ("identity;q=0.5, gzip", True), ("*;q=0.1", True)),
        *(("", False), ("br", False), ("identity", False), ("gzip;q=0", False)),
        *(("gzip;q=0.000, *", False), ("*;q=0", False), ("identity, gzip;q=0.5", False)),
        *(("gzip;q=2", False), ("gzip;q=nan", False), ("gzipped", False), ("gzip;level=9", False)),
    ],
)
def test_accept_encoding_takes_gzip_by_its_weights(accepted: str, taken: bool) -> None:
    assert takes_gzip(accepted) == taken


@pytest.mark.parametrize(("size", "beside"), [(THREAD_BYTES, False), (THREAD_BYTES + 1, True)])
def test_coding_of_a_large_answer_is_made_beside_the_loop(
    monkeypatch: pytest.MonkeyPatch, size: int, beside: bool
) -> None:
    real, threads = zlib.compress, []

    def watched(*args: Any) -> bytes:
        threads.append(threading.current_thread())
        return real(*args)

    monkeypatch.setattr(zlib, "compress", watched)
    body = b"x" * size
    accepted = [(b"accept-encoding", b"br"), (b"accept-encoding", b"gzip")]
    small, headers = asyncio.run(coded(accepted, body))
    assert gzip.decompress(small) == body
    assert headers == [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
    assert [thread is not threading.main_thread() for thread in threads] == [beside]
