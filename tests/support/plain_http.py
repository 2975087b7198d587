"""A plain, slow reading of a stream of requests (RFC 9110, RFC 9112), and what each of them is due.

It knows nothing of the service but its paths, its keys and a few bodies. Where the standard leaves
a choice, or the parser is more lenient than its grammar, an answer may be one of several.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

METHODS = (b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT")
LINE = re.compile(rb"([A-Z-]+)( +)([!-~]+) HTTP/(\d)\.(\d)")
HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
SIZE = re.compile(rb"([0-9a-fA-F]{1,15})(;[!-~ ]*)?")
MOST_HEAD = 16 << 10

REFUSED: set[tuple[int, object]] = {
    (400, "bad_request"),
    (505, "http_version_not_supported"),
    (431, "head_too_large"),
}


class Due(NamedTuple):
    """What may answer one request: pairs of status and mark, a mark of None standing for any.

    `last`: nothing is answered after it. `optional`: nothing need come. `odd`: may be refused, as
    the grammar does not allow it, and then it is the last.
    """

    answers: set[tuple[int, object]]
    last: bool = False
    optional: bool = False
    odd: bool = False
    bodiless: bool = False


class Reading(NamedTuple):
    """`open`: whether another request may follow where the stream ends."""

    due: list[Due]
    open: bool


class Broken(Exception):  # noqa: N818 - what the stream is
    """It cannot be read on."""


class Short(Exception):  # noqa: N818 - what the stream is
    """It ends too soon."""


Answer = Callable[["Request", bytes | None], tuple[set[tuple[int, object]], bool | None]]


def read(stream: bytes, answer: Answer) -> Reading:
    """What a stream is due; `answer(request, body)` says what the app makes of one, and whether it
    says so before it has the body.
    """
    due: list[Due] = []
    rest = stream
    while True:
        rest = rest.lstrip(b"\r\n")
        if not rest:
            return Reading(due, open=True)
        whole = b"\r\n\r\n" in rest  # else it may be waited for
        try:
            request, rest = head(rest)
            kind = framing(request)
        except Broken:
            return Reading([*due, Due(REFUSED, last=True, optional=not whole)], open=False)
        except Short:
            return Reading([*due, Due(REFUSED, last=True, optional=True)], open=False)
        try:
            body, rest = content(kind, rest)
        except (Broken, Short) as fault:
            early, waits = answer(request, None)
            last = not waits or isinstance(fault, Broken)
            if isinstance(fault, Broken):
                early = early | REFUSED if waits is not None else REFUSED
            elif waits:
                return Reading([*due, Due(REFUSED, last=True, optional=True)], open=False)
            else:
                early = early | (REFUSED if kind == "chunked" else set[tuple[int, object]]())
            return Reading([*due, Due(early, last=last, bodiless=request.method == b"HEAD")], False)
        answers, waits = answer(request, body)
        last = not request.kept or (request.expects and not waits)
        due.append(Due(answers, last, odd=request.odd, bodiless=request.method == b"HEAD"))
        if last:
            return Reading(due, open=False)


class Request(NamedTuple):
    """A head."""

    method: bytes
    target: bytes
    minor: bytes
    headers: list[tuple[bytes, bytes]]
    odd: bool

    def all(self, name: bytes) -> list[bytes]:
        return [value for known, value in self.headers if known == name]

    def get(self, name: bytes) -> bytes:
        return next(iter(self.all(name)), b"")

    def tokens(self, name: bytes) -> list[bytes]:
        return [one.strip().lower() for value in self.all(name) for one in value.split(b",")]

    @property
    def expects(self) -> bool:
        return self.minor == b"1" and b"100-continue" in map(bytes.lower, self.all(b"expect"))

    @property
    def kept(self) -> bool:
        said = self.tokens(b"connection") + self.tokens(b"proxy-connection")
        return b"close" not in said and (self.minor == b"1" or b"keep-alive" in said)


def line(rest: bytes) -> tuple[bytes, bytes]:
    found, end, after = rest.partition(b"\n")
    if not end:
        raise Short
    if not found.endswith(b"\r") or b"\r" in found[:-1]:
        raise Broken
    return found[:-1], after


def head(rest: bytes) -> tuple[Request, bytes]:
    size = len(rest)
    first, rest = line(rest)
    words = LINE.fullmatch(first)
    if words is None or words[1] not in METHODS or words[4] != b"1" or words[5] not in b"01":
        raise Broken
    if words[1] == b"CONNECT" or not words[3].startswith(b"/"):
        raise Broken
    headers = []
    while True:
        text, rest = line(rest)
        if not text:
            break
        field = HEADER.fullmatch(text)
        if field is None:
            raise Broken
        headers.append((field[1].lower(), field[2].strip(b" \t")))
    if size - len(rest) > MOST_HEAD:
        raise Broken
    return Request(words[1], words[3], words[5], headers, odd=len(words[2]) > 1), rest


def framing(request: Request) -> object:
    """`chunked`, or how many bytes the body has."""
    lengths = request.all(b"content-length")
    codings = request.tokens(b"transfer-encoding")
    if lengths and codings:
        raise Broken
    if codings:
        plain = [one for one in codings if one]
        if request.minor == b"0" or plain[-1:] != [b"chunked"] or b"chunked" in plain[:-1]:
            raise Broken
        return "chunked"
    if len(lengths) > 1:
        raise Broken
    if lengths:
        if not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
            raise Broken
        return int(lengths[0])
    return 0


def content(kind: object, rest: bytes) -> tuple[bytes, bytes]:
    if kind != "chunked":
        assert isinstance(kind, int)
        if len(rest) < kind:
            raise Short
        return rest[:kind], rest[kind:]
    body = b""
    while True:
        first, rest = line(rest)
        said = SIZE.fullmatch(first)
        if said is None:
            raise Broken
        size = int(said[1], 16)
        if size == 0:
            break
        if len(rest) < size + 2:
            if not b"\r\n".startswith(rest[size:]):
                raise Broken
            raise Short
        if rest[size : size + 2] != b"\r\n":
            raise Broken
        body, rest = body + rest[:size], rest[size + 2 :]
    while True:
        text, rest = line(rest)
        if not text:
            return body, rest
        field = HEADER.fullmatch(text)
        if field is None or field[1].lower() in (b"content-length", b"transfer-encoding"):
            raise Broken


def difference(reading: Reading, answers: list[tuple[int, object]]) -> str | None:
    """What is wrong with the answers, if anything is."""
    left = list(answers)
    for number, due in enumerate(reading.due):
        if not left:
            return None if due.optional else f"request {number} has no answer"
        status, mark = left.pop(0)
        statuses = {one for one, wanted in due.answers if None in (wanted, mark) or due.bodiless}
        if (status, mark) in due.answers or status in statuses:
            if due.last:
                break
        elif due.odd and status in {one for one, _ in REFUSED}:
            break
        else:
            return f"request {number} is answered by {status} {mark}"
    return f"more answers than requests: {left}" if left else None
