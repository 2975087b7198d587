"""A request's body: what its headers must say of it, and its bytes read within a limit."""

import re
from io import BytesIO

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from service.errors import BodyTooLarge, CompressedBody, MalformedBody, MediaTypeError

JSON, BYTES = b"application/json", b"application/octet-stream"
CURLS = b"application/x-www-form-urlencoded"  # what curl says of a body, if nobody says another
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # which some tools put first; RFC 8259 lets it be ignored
MEDIA_TYPE = re.compile(rb"[\w.+-]{1,60}/[\w.+-]{1,60}( *; *[\w-]+=[\w.-]+)*")


def require_plain_json(headers: dict[bytes, bytes]) -> None:
    """Check that a request says of its body that it is JSON, and not compressed.

    Raises:
        MediaTypeError: another media type, or none.
        CompressedBody: a content-encoding.
    """
    content_type = headers.get(b"content-type", b"")
    if content_type != JSON:
        _require_json(content_type)
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise _compressed(headers)


def require_plain_tensors(headers: dict[bytes, bytes]) -> None:
    """Check that a request's body is not said to be anything but JSON, with or without bytes behind
    it; clients of the Open Inference Protocol often leave the media type out, or to curl.

    Raises:
        MediaTypeError: another media type.
        CompressedBody: a content-encoding.
    """
    content_type = headers.get(b"content-type", JSON)
    if content_type not in (JSON, BYTES, CURLS):
        _require_json(content_type)
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise _compressed(headers)


def _compressed(headers: dict[bytes, bytes]) -> CompressedBody:
    coding = as_text(headers[b"content-encoding"])
    return CompressedBody(f"the body must be sent without a content-encoding, not {coding}")


def _require_json(content_type: bytes) -> None:
    kind = content_type.partition(b";")[0].strip().lower()
    if kind != b"application/json" and not (
        kind.startswith(b"application/") and kind.endswith(b"+json")
    ):
        # a header that is no media type may be anything, a secret at the wrong place included
        shown = as_text(content_type) if MEDIA_TYPE.fullmatch(content_type) else "something else"
        sent = f"as {shown}" if content_type else "without one"
        raise MediaTypeError(
            f"the body must be sent with content-type: application/json; it was sent {sent}"
        )


def as_text(value: bytes) -> str:
    """A header's value as an error may show it: short, and in quotation marks."""
    return repr(value[:100].decode("latin-1"))


def announced_bytes(headers: dict[bytes, bytes], most: int) -> int:
    """How many bytes the body is said to have; 0 where it comes in chunks.

    Raises:
        BodyTooLarge: more than `most`.
    """
    announced = headers.get(b"content-length", b"0").strip()
    if len(announced) > len(str(most)) or int(announced) > most:
        raise BodyTooLarge(f"the body has more than {most} bytes")
    return int(announced)


async def read_body(headers: dict[bytes, bytes], receive: Receive, most: int) -> bytes:
    """A request's body, read no further than `most` bytes, announced or chunked.

    Raises:
        BodyTooLarge: more bytes than `most`.
        ClientDisconnect: the caller went away before the end.
    """
    announced_bytes(headers, most)
    message = await receive()
    first: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body", False):
        if len(first) > most:
            raise BodyTooLarge(f"the body has more than {most} bytes")
        return first
    whole = BytesIO()  # a list of chunks would be many times as large where each is a byte
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if whole.tell() + len(message.get("body", b"")) > most:
            raise BodyTooLarge(f"the body has more than {most} bytes")
        whole.write(message.get("body", b""))
        if not message.get("more_body", False):
            return whole.getvalue()
        message = await receive()


def json_text(body: bytes) -> bytes:
    """A body that is to be JSON, without a byte order mark.

    Raises:
        MalformedBody: it is empty.
    """
    text = body.removeprefix(BYTE_ORDER_MARK)
    if not text or text.isspace():
        raise MalformedBody("the body is empty")
    return text
