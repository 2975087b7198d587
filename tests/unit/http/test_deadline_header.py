"""The header that names a deadline: its values, and the smallest of several."""

import pytest

from model.errors import InputError
from service.http.headers.deadline import smaller, timeout_ms


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"50", 50), (b"12.5", 12.5), (b"0.001", 0.001), (b"86400000", 86_400_000)],
)
def test_deadline_header_is_a_number_of_milliseconds(value: bytes, expected: float) -> None:
    assert timeout_ms([(b"host", b"x"), (b"x-timeout-ms", value)]) == expected


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"0", b"0.0", b"-1", b"nan", b"inf", b"1e3", b"1_0", b"+5", b"50ms", b"50, 20"),
        *(b" 5", b"86400000.1", b"86400001", b"9" * 400, b"\xb2", "\u0665".encode(), b"5\n"),
    ],
)
def test_deadline_header_of_anything_else_is_refused_by_its_name(value: bytes) -> None:
    with pytest.raises(InputError, match="x-timeout-ms") as caught:
        timeout_ms([(b"x-timeout-ms", value)])
    assert caught.value.code == "bad_timeout_header"


def test_deadline_header_that_stands_twice_counts_by_its_smaller_value() -> None:
    assert timeout_ms([(b"x-timeout-ms", b"20"), (b"x-timeout-ms", b"500")]) == 20


def test_deadline_of_none_is_larger_than_any_number() -> None:
    assert smaller(None, None) is None
    assert smaller(5.0, None) == smaller(None, 5.0) == smaller(5.0, 7.0) == smaller(7.0, 5.0) == 5
