"""What a request is that has come whole, as far as that can be said without parsing it."""

import re

HEAD_END = b"\r\n\r\n"
POSTS = (b"POST /predict HTTP/1.1\r\n", b"POST /explain HTTP/1.1\r\n")
# every header that says where a message ends or what becomes of its connection, however written,
# and every line that continues the one before
FRAMING = re.compile(
    rb"[\r\n](?:([ \t])|(content-length|transfer-encoding|connection|expect|upgrade)"
    rb"[ \t]*:[ \t]*([^\r\n]*))",
    re.IGNORECASE,
)


def whole_post(data: bytes) -> tuple[str, int] | None:
    """The path of the scoring request that `data` is, whole and nothing else, and its body's bytes;
    None for anything else, and for all whose end is not beyond doubt.
    """
    if not data.startswith(POSTS):
        return None
    end = data.find(HEAD_END)
    if end < 0:
        return None
    size = None
    for folded, name, value in FRAMING.findall(data, 0, end):
        name, value = name.lower(), value.strip()
        if folded:
            return None
        if name == b"content-length" and size is None and value.isdigit() and len(value) < 12:
            size = int(value)
        elif name != b"connection" or value.lower() != b"keep-alive":
            return None
    if size is None or len(data) != end + len(HEAD_END) + size:
        return None
    return ("/predict" if data.startswith(POSTS[0]) else "/explain"), size
