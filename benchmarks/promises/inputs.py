"""More than 100,000 requests that nobody should send: real ones mutated as text and as values, and
those that schemathesis makes of the OpenAPI document; then floods, with what they cost in memory.
Every answer must be of the documented form, by a documented status, and none a 500.
"""

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil
from processes.servers import service
from traffic.load import Connection, request_bytes
from traffic.wide_requests import fitted, make_requests

from model.bundle.bundle import Bundle
from service.http.endpoints.status_answers import Problem
from service.scoring.answers import ExplainAnswer, PredictAnswer
from service.settings import Settings

HERE = Path(__file__).parent
MUTATED, BY_SCHEMA = 100_000, 250  # requests; examples of schemathesis for each operation
ANSWERS: dict[str, type[msgspec.Struct]] = {"/predict": PredictAnswer, "/explain": ExplainAnswer}
AS_DECLARED = "no 5xx but 503 and 504, each answer as declared"
BOUNDED = "4xx or closed, memory under twice the limit"
STATUSES = {200, 400, 413, 415, 422, 429, 503, 504}
ODD: list[Any] = [
    *(None, True, 0, -0.0, 2**63, -(2**63) - 1, 2**64, 10**320, 1e-320, 1e308),
    *("", "\x00", "\ud800", "NaN", "-0", "é", "\u202e", "a" * 5000, "1e400", " ios"),
    *([], [None], [[]], [1, "a", None], {}, {"a": {}}, ["x"] * 40),
]
TEXTS = [b"NaN", b"Infinity", b"1e999", b"-0", b'"\\ud800"', b"null", b"{", b"]", b'"', b",", b"\0"]
LIMIT = Settings.model_fields["max_body_bytes"].default


def measure() -> list[tuple[str, str, str]]:
    """What was sent, and what came back."""
    with tempfile.TemporaryDirectory(prefix="afm-inputs-") as folder:
        home = Path(folder)
        bundle = fitted(home)
        requests = make_requests(home / "log.parquet", bundle)
        with service(home, bundle) as port:
            seen = mutated(port, bundle, [*requests[1], *requests[10]])
            what = f"{MUTATED:,} real requests, mutated"
            lines = [(what, seen, AS_DECLARED), by_schema(port)]
        for name, data, wanted in floods(requests[1][0]):
            with service(home / name.replace(" ", "-"), bundle) as port:
                lines.append((name, flooded(port, data, wanted), BOUNDED))
    return lines


def mutated(port: int, bundle: Bundle, requests: list[bytes]) -> str:
    """Each answer proven; how many had which status."""
    chance = random.Random(1)
    bodies = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in requests]
    names = [*bundle.schema.fields, "strange", "", "\ud800", "timeout_ms", "strict", "top"]
    statuses: Counter[int] = Counter()
    connection = Connection(port)
    for _ in range(MUTATED):
        path = chance.choice(list(ANSWERS))
        body = mutant(chance.choice(bodies), names, chance)
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        connection.send(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        while (answer := connection.receive(any_status=True)) is None:
            pass
        found = json.loads(answer)
        assert connection.status in STATUSES, (path, body, answer)
        kind = ANSWERS[path] if connection.status == 200 else Problem
        msgspec.convert(found, kind, strict=True)
        assert found.keys() <= set(kind.__struct_fields__), (path, found)
        statuses[connection.status] += 1
    connection.close()
    return ", ".join(f"{count:,} answered {status}" for status, count in sorted(statuses.items()))


def mutant(body: Any, names: list[str], chance: random.Random) -> bytes:
    """A body with one to four things changed, as values or as text."""
    body = json.loads(json.dumps(body))
    for _ in range(chance.randint(1, 4)):
        rows = body.get("candidates") or body.get("instances") or [{}]
        rows = rows if isinstance(rows, list) else [{}]
        holder = chance.choice([body, body.get("context"), chance.choice(rows)])
        if isinstance(holder, dict):
            holder[chance.choice(names)] = chance.choice(ODD)
        if chance.random() < 0.1:
            key = chance.choice(["instances", "candidates", *body])
            body = {key: chance.choice([rows, None])}
    text = json.dumps(body).encode()
    if chance.random() < 0.4:
        place = chance.randrange(len(text))
        end = place + chance.choice([0, 0, 1, 5])
        text = text[:place] + chance.choice([*TEXTS, os.urandom(2)]) + text[end:]
    if chance.random() < 0.1:  # a key said twice
        text = text.replace(b"{", b'{"context": 1, ', 1)
    return text


def by_schema(port: int) -> tuple[str, str, str]:
    """What schemathesis says of status, content type and form of each answer."""
    home = HERE.parents[1] / ".venv" / "schemathesis"
    if not (home / "bin" / "schemathesis").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        wanted = str(HERE / "requirements-schemathesis.txt")
        subprocess.run([str(home / "bin" / "pip"), "install", "-q", "-r", wanted], check=True)
    checks = "status_code_conformance,content_type_conformance,response_schema_conformance"
    run = [str(home / "bin" / "schemathesis"), "run", f"http://127.0.0.1:{port}/openapi.json"]
    run += ["--checks", checks, "--phases", "coverage,fuzzing", "-n", str(BY_SCHEMA), "--seed", "1"]
    run += ["--suppress-health-check", "all", "--continue-on-failure", "--warnings", "off"]
    done = subprocess.run(run, capture_output=True, text=True, check=False, cwd="/tmp")  # noqa: S108  for what it leaves behind
    assert done.returncode == 0, done.stdout
    said = next(line.strip() for line in done.stdout.splitlines() if "generated" in line)
    return "schemathesis, from the OpenAPI", said, AS_DECLARED


def floods(real: bytes) -> Iterator[tuple[str, list[bytes], set[int]]]:
    """Name, what each of several connections sends, and the statuses that may come back."""
    head = real.partition(b"content-length")[0]

    def whole(body: bytes, more: bytes = b"") -> bytes:
        return head + more + b"content-length: %d\r\n\r\n" % len(body) + body

    deep = b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    keys = b'{"instances": [{' + b",".join(b'"%x":1' % i for i in range(1_000_000)) + b"}]}"
    text = b'{"instances": [{"x": "' + b"y" * (1 << 20) + b'"}]}'
    bomb = zlib.compress(b" " * (256 << 20))
    chunks = head + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 200_000
    announced = head + b"content-length: 999999999999\r\n\r\n"

    def filled(begin: bytes, item: bytes, end: bytes) -> bytes:
        return begin + b",".join([item] * ((LIMIT - len(begin + end)) // (len(item) + 1))) + end

    yield "JSON 100,000 deep", [whole(deep)] * 5, {400, 422}
    yield "a row of 10^6 keys", [whole(keys)] * 5, {413, 422}
    fitting = keys[: keys.rindex(b",", 0, LIMIT - 12)]
    yield "a row of as many keys as fit", [whole(fitting + b"}]}")] * 5, {422}
    yield "the same with NaN", [whole(fitting + b',"x":NaN}]}')] * 5, {400}
    yield "the same, not whole", [whole(fitting)] * 5, {400}
    rows = filled(b'{"instances": [', b"{}", b"]}")
    yield "as many rows as fit", [whole(rows)] * 5, {413}
    numbers = filled(b'{"context": {}, "candidates": [', b"1", b"]}")
    yield "as many rows that are none", [whole(numbers)] * 5, {422}
    lists = filled(b'{"instances": [{"x": [', b"[]", b"]}]}")
    yield "as many lists as fit", [whole(lists)] * 5, {422}
    wide = b'{"instances": [{"x": "' + b"y" * (LIMIT - 50) + "\U0001f600".encode() + b'"}]}'
    yield "a text of wide characters", [whole(wide)] * 5, {422}
    yield "texts of 1 MB", [whole(text)] * 20, {422}
    yield "a gzip bomb of 256 MB", [whole(bomb, b"content-encoding: gzip\r\n")] * 5, {415}
    yield "200,000 chunks of one byte", [chunks + b"0\r\n\r\n"] * 5, {400}
    yield "a terabyte announced", [announced] * 20, {413}
    yield "a head of 1 MB", [b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\n\r\n"] * 20, {431}


def flooded(port: int, requests: list[bytes], wanted: set[int]) -> str:
    """One after the other, a neighbour asked in between; the most memory that the worker took: its
    rise is less than twice the limit of a body.
    """
    worker = listening(port)
    plain = request_bytes("/predict", {"instances": [{"strange": 1}]})
    neighbour = Connection(port)
    time.sleep(0.5)
    Path(f"/proc/{worker.pid}/clear_refs").write_text("5")  # the high water mark begins anew
    before = worker.memory_info().rss
    statuses: Counter[int] = Counter()
    for request in requests:
        with socket.create_connection(("127.0.0.1", port), 20) as caller:
            with suppress(ConnectionResetError, BrokenPipeError):  # refused before all was read
                caller.sendall(request)
            try:
                answer = caller.recv(1 << 16)
            except ConnectionResetError:
                answer = b""
        status = int(answer[9:12]) if answer else 0  # 0: closed
        assert status in wanted | {0}, answer
        statuses[status] += 1
        neighbour.send(plain)
        while neighbour.receive(any_status=True) is None:
            pass
        assert neighbour.status == 422, neighbour.status
    neighbour.close()
    status_file = Path(f"/proc/{worker.pid}/status").read_text()
    peak = int(status_file.partition("VmHWM:")[2].split()[0]) * 1024
    assert peak - before < 2 * LIMIT, (peak - before) / LIMIT
    after = worker.memory_info().rss
    came = ", ".join(f"{n} times {s or 'closed'}" for s, n in sorted(statuses.items()))
    return (
        f"{came}; neighbour answered; memory at most {(peak - before) / LIMIT:.1f} and in the end "
        f"{(after - before) / LIMIT:.1f} of the body limit more"
    )


def listening(port: int) -> psutil.Process:
    """The process of the one worker."""
    for found in psutil.net_connections("tcp"):
        if found.laddr and found.laddr.port == port and found.status == psutil.CONN_LISTEN:
            assert found.pid is not None
            return psutil.Process(found.pid)
    raise RuntimeError(f"nobody listens on {port}")
