"""Streams of requests, valid, odd and broken, and what a running service answers to each."""

import asyncio
import json
import re

from hypothesis import strategies as st

import plain_http
from plain_http import Reading, Request

MOST_BODY = 20_000
SECONDS = 20  # for a stream to be answered: else its connection hangs
ROWS = {json.dumps({"instances": [{"device": "ios", "ad": "a1"}] * n}).encode(): n for n in (1, 2)}
# stands for a key, and is as long as one, so that lengths and splits are right
PLACE = {right: right.encode().ljust(47, b"_") for right in ("predict", "admin")}
SMUGGLED = b"GET /model HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\n\r\n" % PLACE["admin"]
BODIES = [*ROWS, b"", b"{}", SMUGGLED, b"\r\n" * 40 + SMUGGLED, b"0\r\n\r\n" + SMUGGLED]
PATHS = {b"/healthz": b"GET", b"/model": b"GET", b"/predict": b"POST"}
NEEDED = {b"/predict": "predict"}

HEADERS = [
    b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"connection: keep-alive, upgrade\r\nupgrade: foo\r\n",
    b"proxy-connection: upgrade\r\nupgrade: foo\r\n",
    b"upgrade: h2c\r\n",
    b"connection: keep-alive\r\n",
    b"connection: close\r\n",
    b"expect: 100-continue\r\n",
    b"content-encoding: gzip\r\n",
    b"x-empty:\r\n",
]
FRAMINGS = [
    b"transfer-encoding: chunked\r\ncontent-length: %d\r\n",
    b"content-length: %d\r\ntransfer-encoding: chunked\r\n",
    b"content-length: %d\r\ncontent-length: 3\r\n",
    b"content-length: +%d\r\n",
    b"content-length : %d\r\n",
    b"content-length: 3\r\n",
    b"content-length: 00%d \r\n",
    b"content-length: 99999\r\n",
    b"x: y\r\n content-length: %d\r\n",
    b"transfer-encoding: gzip\r\n",
    b"transfer-encoding: gzip, chunked\r\n",
    b"transfer-encoding: chunked, identity\r\n",
    b"transfer-encoding: xchunked\r\n",
    b"",
]
ODD_BYTES = [b"\r", b"\n", b"\r\n", b" ", b"\0", b":", b"0", b"x", b"\t", b"\x80", b",", b";"]


@st.composite
def one_request(draw: st.DrawFn) -> bytes:
    """One request, mostly a good one."""
    often = st.integers(0, 9)
    path = draw(st.sampled_from([b"/predict"] * 4 + [b"/model", b"/healthz", b"/nothing"]))
    method = PATHS.get(path, b"GET")
    if draw(often) == 0:
        method = draw(st.sampled_from(plain_http.METHODS))
    version = draw(st.sampled_from([b"1.1"] * 12 + [b"1.0", b"2.0"]))
    made = method + b" " + path + b" HTTP/" + version + b"\r\nhost: x\r\n"
    key = draw(st.sampled_from([PLACE[NEEDED.get(path, "admin")]] * 5 + [b"?", *PLACE.values()]))
    made += b"x-api-key: " + key + b"\r\n" if draw(often) else b""
    kind = b"text/plain" if draw(often) == 0 else b"application/json"
    made += b"content-type: " + kind + b"\r\n"
    for more in draw(st.lists(st.sampled_from(HEADERS), max_size=2)):
        made += more
    body = draw(st.sampled_from(BODIES)) if method == b"POST" or draw(often) == 0 else b""
    how = draw(often)
    if how == 0:
        framing = draw(st.sampled_from(FRAMINGS))
        return made + (framing % len(body) if b"%d" in framing else framing) + b"\r\n" + body
    if how < 5:
        made += b"content-length: %d\r\n" % len(body) if body or how == 1 else b""
        return made + b"\r\n" + body
    return made + b"transfer-encoding: chunked\r\n\r\n" + draw(chunks(body))


@st.composite
def chunks(draw: st.DrawFn, body: bytes) -> bytes:
    """A body in chunks, sometimes with extensions, trailers, or a fault."""
    made, at = b"", 0
    while at < len(body):
        size = draw(st.integers(1, len(body)))
        part = body[at : at + size]
        more = draw(st.sampled_from([b"", b"", b";a=b"]))
        made += b"%x%s\r\n%s\r\n" % (len(part), more, part)
        at += size
    ends = [b"0\r\n\r\n"] * 6
    ends += [b"0\r\nx: y\r\nupgrade: h2c\r\n\r\n", b"0\r\ncontent-length: 5\r\n\r\n"]
    ends += [b"00;a\r\n\r\n", b"5\r\nabc\r\n0\r\n\r\n", b"x\r\n\r\n", b"0\n\r\n", b""]
    return made + draw(st.sampled_from(ends))


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """Requests one after the other, sometimes with a byte changed, and where it is split."""
    stream = b"".join(draw(st.lists(one_request(), min_size=1, max_size=4)))
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(stream)))
        taken = draw(st.integers(0, 2))
        stream = stream[:at] + draw(st.sampled_from(ODD_BYTES)) + stream[at + taken :]
    if draw(st.integers(0, 9)) == 0:
        stream = stream[: draw(st.integers(1, len(stream)))]
    return stream, sorted(draw(st.lists(st.integers(1, len(stream)), max_size=4)))


class Asked:
    """What the service at `port`, which knows `keys` by their rights, answers to streams."""

    def __init__(self, port: int, keys: dict[str, str]) -> None:
        self._port = port
        self._keys = {right: key.encode() for right, key in keys.items()}
        self._rights = {key: right for right, key in self._keys.items()}
        self.answers = 0

    def differences(self, cases: list[tuple[bytes, list[int]]]) -> list[str]:
        """Send all of them at once; what is wrong with the answers to any."""

        async def every() -> list[str | None]:
            return await asyncio.gather(*(self._one(*case) for case in cases))

        return [found for found in asyncio.run(every()) if found is not None]

    async def _one(self, stream: bytes, splits: list[int]) -> str | None:
        for right, key in self._keys.items():
            stream = stream.replace(PLACE[right], key)
        reading = plain_http.read(stream, self._answer)
        end = b"GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n"
        if reading.open:
            due = plain_http.Due({(200, "alive")}, last=True)
            reading = Reading([*reading.due, due], open=False)
        else:
            end = b""
        try:
            async with asyncio.timeout(SECONDS):
                answers = await self._answers(stream, splits, end, reading)
        except TimeoutError:
            return f"no end: {stream!r}, split at {splits}"
        self.answers += len(answers)
        found = plain_http.difference(reading, answers)
        return found and f"{found}: {answers} to {stream!r}, split at {splits}"

    async def _answers(
        self, stream: bytes, splits: list[int], end: bytes, reading: Reading
    ) -> list[tuple[int, object]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        got = bytearray()

        async def receive() -> None:
            try:
                while part := await reader.read(1 << 16):
                    got.extend(part)
            except ConnectionError:
                pass

        receiving = asyncio.create_task(receive())
        bodiless = [due.bodiless for due in reading.due]
        try:
            for start, stop in zip([0, *splits], [*splits, len(stream)], strict=True):
                writer.write(stream[start:stop])
                await asyncio.sleep(0.002)
            writer.write(end)
            if not end:
                await self._settled(got, bodiless, reading, receiving)
                writer.write_eof()
        except (ConnectionError, RuntimeError, OSError):
            pass  # it has ended already
        await receiving
        writer.close()
        return answered(bytes(got), bodiless)

    async def _settled(
        self, got: bytearray, bodiless: list[bool], reading: Reading, receiving: asyncio.Task[None]
    ) -> None:
        # the end of what a caller sends is taken for the caller's leaving
        most = sum(not due.optional for due in reading.due)
        while len(answered(bytes(got), bodiless)) < most:
            if receiving.done():
                return
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.01)

    def _answer(self, request: Request, body: bytes | None) -> tuple[set[tuple[int, object]], bool]:
        # what the app says, and whether it needs the body for it
        path = request.target.partition(b"?")[0]
        found = self._refused(request, path)
        if found is not None:
            return {(status, None) for status in found}, False
        if path == b"/healthz":
            return {(200, "alive")}, False
        if path == b"/model":
            return {(200, "model")}, False
        if body in ROWS:
            return {(200, ROWS[body])}, True
        # a changed byte may be one of a value, and an unknown value has a score
        scored = {(200, rows) for rows in [_rows_in(body)] if rows}
        return {(400, "malformed_json"), (422, None), *scored}, True

    def _refused(self, request: Request, path: bytes) -> set[int] | None:
        if path != b"/healthz":
            right = self._rights.get(request.get(b"x-api-key"))
            if right is None:
                return {401}
            if right != NEEDED.get(path, "admin"):
                return {403}
        if path not in PATHS:
            return {404}
        if request.method == b"HEAD" and PATHS[path] == b"GET":
            return {200}
        if request.method != PATHS[path]:
            return {405}
        if path != b"/predict":
            return None
        kinds = request.all(b"content-type")
        if not kinds or kinds[-1] != b"application/json":
            return {415}
        if request.all(b"content-encoding")[-1:] not in ([], [b"identity"]):
            return {415}
        lengths = request.all(b"content-length")
        return {413} if lengths and int(lengths[0]) > MOST_BODY else None


def answered(got: bytes, bodiless: list[bool]) -> list[tuple[int, object]]:
    """The final answers in what has come, each by status and mark; those that are whole."""
    found: list[tuple[int, object]] = []
    while b"\r\n\r\n" in got:
        head, _, rest = got.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        if status is None:
            return [*found, (0, got[:40])]
        number = int(status[1])
        if number == 100:
            got = rest
            continue
        length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        without = len(found) < len(bodiless) and bodiless[len(found)]
        size = 0 if without or length is None else int(length[1])
        if rest and len(rest) < size:
            break  # a refused HEAD has no body at all
        found.append((number, mark(rest[:size])))
        got = rest[size:]
    return found


def mark(body: bytes) -> object:
    """What tells an answer from others."""
    answer = json.loads(body) if body else {}
    if "probabilities" in answer:
        return len(answer["probabilities"])
    if "schema" in answer:
        return "model"
    return answer.get("code", answer.get("status"))


def _rows_in(body: bytes | None) -> int:
    try:
        return len(json.loads(body or b"")["instances"])
    except (ValueError, TypeError, KeyError):
        return 0
