"""Requests of one kind in the forms that the service takes, as raw bytes, and their scores."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from traffic.load import Connection, request_bytes

from artf.messages import RTBRequest, RTBResponse
from model.bundle.bundle import Bundle

sys.path.insert(0, str(Path(__file__).parents[2] / "tests/support"))  # which the tests use as well
from bid_requests import bid_request
from protobuf_wire import openrtb, written
from tensors import as_bytes, as_json

MODEL = "default"
Rows = list[list[dict[str, Any]]]


def posted(path: str, data: bytes, *headers: str) -> bytes:
    """A POST of bytes that are no JSON."""
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", *headers, f"content-length: {len(data)}"]
    return "\r\n".join([*lines, "", ""]).encode() + data


def whole_rows(log: Path, bundle: Bundle, bodies: int, size: int) -> Rows:
    """Rows of the log with all fields, by request."""
    rows = pl.read_parquet(log).select(list(bundle.schema.fields)).to_dicts()
    draw = random.Random(3)
    return [draw.sample(rows, size) for _ in range(bodies)]


def as_instances(asked: Rows) -> list[bytes]:
    """Requests to /predict."""
    return [request_bytes("/predict", {"instances": rows}) for rows in asked]


def as_tensors(asked: Rows, bundle: Bundle, *, binary: bool) -> list[bytes]:
    """Requests to /v2, a column a field, in JSON or behind it."""
    path, found = f"/v2/models/{MODEL}/infer", []
    for rows in asked:
        columns: list[dict[str, Any]] = [
            {
                "name": name,
                "datatype": "FP64" if field.kind == "numeric" else "BYTES",
                "shape": [len(rows)],
                "data": [row[name] for row in rows],
            }
            for name, field in bundle.schema.fields.items()
        ]
        if binary:
            data, headers = as_bytes(columns)
            lines = [f"{name}: {value}" for name, value in headers.items()]
            found.append(posted(path, data, "content-type: application/octet-stream", *lines))
        else:
            found.append(request_bytes(path, as_json(columns)))
    return found


def bid_requests(bodies: int, size: int) -> tuple[list[bytes], list[bytes]]:
    """The same bid requests for /predict and for GetMutations."""
    draw = random.Random(4)
    drawn = [bid_request(draw, number, size) for number in range(bodies)]
    calls = [
        written([(1, 1), (2, "1"), (3, 60_000), (4, openrtb("BidRequest", one))]) for one in drawn
    ]
    for one, call in zip(drawn, calls, strict=True):
        assert len(RTBRequest.FromString(call).bid_request.imp) == len(one["imp"])
    return [request_bytes("/predict", {"bid_request": one}) for one in drawn], calls


def scores(connection: Connection, request: bytes) -> list[float]:
    """Those of an answer in whichever form, as 32-bit floats, which they are."""
    connection.send(request)
    while (body := connection.receive()) is None:
        pass
    if not body.startswith(b"{"):
        raise RuntimeError(f"not understood: {body[:100]!r}")
    answer, end = json.JSONDecoder().raw_decode(body.decode("latin-1"))
    if "outputs" not in answer:
        found = answer.get("probabilities") or [
            one["probability"] for one in answer["explanations"]
        ]
    elif "data" in answer["outputs"][0]:
        found = answer["outputs"][0]["data"]
    else:
        found = np.frombuffer(body[end:], np.float32)
    return _floats(found)


def metrics(answer: bytes) -> list[float]:
    """The scores of a response over gRPC."""
    found = RTBResponse.FromString(answer).mutations
    return _floats([one.metrics.metric[0].value for one in found])


def _floats(found: Any) -> list[float]:
    listed: list[float] = np.array(found, np.float32).tolist()
    return listed
