"""Requests of the Open Inference Protocol as raw bytes, made from rows, and their answers read."""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import numpy as np

LENGTH = "inference-header-content-length"
INFER = "/v2/models/ads/infer"
DEVICE = {"name": "device", "datatype": "BYTES", "shape": [2], "data": ["ios", "web"]}
Row = Mapping[str, Any]


def texts(values: Sequence[Any]) -> bytes:
    """Values of BYTES: each behind its length; nothing for null."""
    raws = [b"" if value is None else str(value).encode() for value in values]
    return b"".join(struct.pack("<I", len(raw)) + raw for raw in raws)


def columns_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of the tiny log as inputs, with their data in JSON."""
    most = max(len(row.get("interests") or []) for row in rows)
    padded = [
        [*(row.get("interests") or []), *[None] * (most - len(row.get("interests") or []))]
        for row in rows
    ]
    count = len(rows)
    return [
        {
            "name": name,
            "datatype": datatype,
            "shape": [count, most] if name == "interests" else [count],
            "data": padded if name == "interests" else [row.get(name) for row in rows],
        }
        for name, datatype in (
            ("device", "BYTES"),
            ("hour", "INT64"),
            ("interests", "BYTES"),
            ("ad", "BYTES"),
            ("price", "FP64"),
        )
    ]


def as_json(
    inputs: Sequence[Mapping[str, Any]], outputs: Sequence[str] = (), **more: Any
) -> dict[str, Any]:
    """A request with its data in JSON."""
    named = {"outputs": [{"name": name} for name in outputs]} if outputs else {}
    return {"inputs": list(inputs), **named, **more}


def as_bytes(
    inputs: Sequence[Mapping[str, Any]], outputs: Sequence[str] = (), **more: Any
) -> tuple[bytes, dict[str, str]]:
    """The same with its data behind the JSON, as clients of Triton send it: body and headers. An
    input of numbers with a null goes as BYTES.
    """
    heads, raws = [], []
    for one in inputs:
        flat = [v for value in one["data"] for v in (value if isinstance(value, list) else [value])]
        datatype = one["datatype"]
        if datatype == "FP64":
            raw = np.array(flat, np.float64).tobytes()  # NaN for null
        elif datatype == "INT64" and None not in flat:
            raw = np.array(flat, np.int64).tobytes()
        else:
            datatype, raw = "BYTES", texts(flat)
        raws.append(raw)
        parameters = {"binary_data_size": len(raw)}
        heads.append(
            {"name": one["name"], "datatype": datatype, "shape": one["shape"]}
            | {"parameters": parameters}
        )
    wanted = [{"name": name, "parameters": {"binary_data": True}} for name in outputs]
    how = {"outputs": wanted} if outputs else {"parameters": {"binary_data_output": True}}
    head = json.dumps({"inputs": heads, **how, **more}).encode()
    return b"".join((head, *raws)), {LENGTH: str(len(head))}


def tensors(answer: httpx.Response) -> dict[str, np.ndarray[Any, Any]]:
    """The outputs of an answer, in JSON or behind it."""
    assert answer.status_code == 200, answer.text
    size = int(answer.headers.get(LENGTH, len(answer.content)))
    rest = answer.content[size:]
    found = {}
    for one in json.loads(answer.content[:size])["outputs"]:
        assert one["datatype"] == "FP32"
        if "data" in one:
            values = np.array(one["data"], np.float32)
        else:
            size = _bytes_of(one)
            values, rest = np.frombuffer(rest[:size], np.float32), rest[size:]
        found[one["name"]] = values.reshape(one["shape"])
    assert not rest
    return found


def _bytes_of(output: Mapping[str, Any]) -> int:
    return int(output["parameters"]["binary_data_size"])
