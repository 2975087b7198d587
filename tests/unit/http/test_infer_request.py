"""The bodies of infer requests as rows, in JSON and as bytes, and what is wrong with others."""

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from model.errors import InputError
from service.errors import MalformedBody, TooManyRows
from service.http.inference.infer_request import Inference, InferenceReader
from service.limits import InputLimits
from tensors import as_bytes, as_json, texts

DEVICE = {"name": "device", "datatype": "BYTES", "shape": [2], "data": ["ios", "web"]}
BEHIND = {key: DEVICE[key] for key in DEVICE if key != "data"}


def read(
    body: bytes | dict[str, Any] | list[Any], length: bytes | None = None, most_rows: int = 100
) -> Inference:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asyncio.run(InferenceReader(most_rows, InputLimits()).read(raw, length))


def fault(body: bytes | dict[str, Any] | list[Any], length: bytes | None = None) -> Any:
    with pytest.raises((InputError, MalformedBody, TooManyRows)) as caught:
        list(read(body, length).asked.rows)  # they are made when somebody looks at them
    return caught.value


def behind(raw: bytes, size: int | str | None = None, **more: Any) -> tuple[bytes, bytes]:
    """A request of one input whose bytes come behind the JSON."""
    parameters = {"binary_data_size": len(raw) if size is None else size}
    text = json.dumps({"inputs": [{**BEHIND, "parameters": parameters, **more}]}).encode()
    return text + raw, str(len(text)).encode()


def values(body: bytes | dict[str, list[dict[str, Any]]], length: bytes | None = None) -> list[Any]:
    return [row["device"] for row in read(body, length).asked.rows]


def test_a_tensor_a_field_becomes_a_row_for_each_of_its_values() -> None:
    prices = {"name": "price", "datatype": "FP64", "shape": [2, 1], "data": [[3.5], [None]]}
    tags = {"name": "tags", "datatype": "BYTES", "shape": [2, 2], "data": ["a", "b", "c", None]}
    asked = read(as_json([DEVICE, prices, tags])).asked
    assert asked.context == {}
    assert list(asked.rows) == [
        {"device": "ios", "price": 3.5, "tags": ["a", "b"]},
        {"device": "web", "price": None, "tags": ["c", None]},
    ]
    assert asked.rows[1]["device"] == asked.rows[-1]["device"] == "web"
    assert asked.rows[1:] == [asked.rows[1]]


def test_bytes_behind_the_json_are_the_same_rows() -> None:
    inputs = [DEVICE, {"name": "hour", "datatype": "INT64", "shape": [2], "data": [21, 3]}]
    body, headers = as_bytes(inputs)
    (length,) = map(str.encode, headers.values())
    assert list(read(body, length).asked.rows) == list(read(as_json(inputs)).asked.rows)


@pytest.mark.parametrize(
    ("datatype", "raw", "expected"),
    [
        ("BOOL", b"\1\0", [True, False]),
        ("BOOL", b"\2\0", [True, False]),
        ("INT64", np.array([2**53 + 1, -1]).tobytes(), [2**53 + 1, -1]),
        ("UINT8", b"\xff\0", [255, 0]),
        ("FP32", np.array([0.1, np.nan], np.float32).tobytes(), [0.1, None]),
        ("FP32", np.array([1e10, 16777216], np.float32).tobytes(), [1e10, 16777216.0]),
        ("FP64", np.array([0.1, np.nan]).tobytes(), [0.1, None]),
        ("BYTES", texts(["\u00fc", ""]), ["\u00fc", ""]),
    ],
)
def test_values_of_each_datatype(
    datatype: str, raw: bytes, expected: list[float | str | None]
) -> None:
    found = values(*behind(raw, datatype=datatype))
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


def test_a_float32_in_json_is_the_shortest_decimal_too() -> None:
    data = np.array([0.1, 2.7], np.float32).astype(float).tolist()
    assert values(as_json([{**DEVICE, "datatype": "FP32", "data": data}])) == [0.1, 2.7]


def test_the_outputs_the_id_and_the_deadline_are_read() -> None:
    wanted = [{"name": "logit", "parameters": {"binary_data": True}}, {"name": "probability"}]
    found = read({"inputs": [DEVICE], "outputs": wanted, "id": "7", "parameters": {"timeout": 500}})
    assert (found.outputs, found.id, found.binary) == (
        {"logit": True, "probability": False},
        "7",
        False,
    )
    assert found.asked.timeout_ms == 0.5
    assert read({"inputs": [DEVICE], "parameters": {"binary_data_output": True}}).binary
    assert read({"inputs": [DEVICE], "parameters": {"content_type": "pd"}, "new": 1}).id == ""


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ([], "no_inputs"),
        ([{**DEVICE, "shape": [3]}], "bad_tensor"),
        ([{**DEVICE, "shape": []}], "bad_tensor"),
        ([{**DEVICE, "shape": [0], "data": []}], "bad_tensor"),
        ([{**DEVICE, "shape": [2, 1, 1]}], "bad_tensor"),
        ([{**DEVICE, "shape": [2, 1001]}], "list_too_long"),
        ([DEVICE, DEVICE], "bad_tensor"),
        ([DEVICE, {**DEVICE, "name": "ad", "shape": [1]}], "bad_tensor"),
        ([{**DEVICE, "datatype": "FP16"}], "bad_tensor"),
        ([{**DEVICE, "data": [1, 2]}], "bad_tensor"),
        ([{**DEVICE, "data": [["ios", "web"], [[1]]]}], "bad_tensor"),
        ([{**DEVICE, "datatype": "INT8", "data": [1, 128]}], "bad_tensor"),
        ([{**DEVICE, "datatype": "BOOL", "data": [1, 0]}], "bad_tensor"),
        ([{**DEVICE, "parameters": {"binary_data_size": 4}}], "bad_tensor"),
        ([BEHIND], "bad_tensor"),
        ([{**DEVICE, "parameters": {"shared_memory_region": "x"}}], "bad_parameter"),
        ([{**DEVICE, "data": ["x" * 20_000, ""]}], "text_too_long"),
        ([{**DEVICE, "data": ["x" * (1 << 20), ""]}], "too_much_at_once"),
        ([{**DEVICE, "name": str(i)} for i in range(1001)], "too_many_keys"),
    ],
)
def test_inputs_that_are_none_are_refused(inputs: list[dict[str, Any]], code: str) -> None:
    assert fault({"inputs": inputs}).code == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "malformed_json"),
        (b'{"inputs": [], "x": \xff', "malformed_json"),
        (b"[" * 5000, "malformed_json"),
        ([], "not_a_request"),
        ({}, "not_a_request"),
        ({"inputs": 1}, "not_a_request"),
        ({"inputs": [{"name": 1}]}, "not_a_request"),
        ({"inputs": [DEVICE], "parameters": {"sequence_id": 1}}, "bad_parameter"),
        ({"inputs": [DEVICE], "parameters": {"priority": 1}}, "bad_parameter"),
        ({"inputs": [DEVICE], "parameters": {"timeout": -1}}, "bad_parameter"),
        ({"inputs": [DEVICE], "parameters": {"timeout": True}}, "bad_parameter"),
        (as_json([{**DEVICE, "shape": [101], "data": ["a"] * 101}]), "too_many_rows"),
    ],
)
def test_bodies_that_are_no_request_are_refused(
    body: bytes | dict[str, Any] | list[Any], code: str
) -> None:
    assert fault(body).code == code


@pytest.mark.parametrize(
    ("raw", "size", "code"),
    [
        (b"\x03\0\0\0ios\x03\0\0\0we", 13, "bad_tensor"),
        (b"\x03\0\0\0ios\x03\0\0\0webs", 15, "bad_tensor"),
        (b"\xff\xff\xff\xffios\x03\0\0\0web", 14, "bad_tensor"),
        (b"\x03\0\0\0ios\x03\0\0\0web!", 14, "bad_tensor"),
        (b"\x03\0\0\0ios\x03\0\0\0web", 15, "bad_tensor"),
        (b"\x03\0\0\0ios\x03\0\0\0web", -1, "bad_tensor"),
        (b"\x03\0\0\0ios\x03\0\0\0web", "14", "bad_tensor"),
        (b"", 0, "bad_tensor"),
    ],
)
def test_bytes_that_are_not_what_they_are_said_to_be_are_refused(
    raw: bytes, size: int | str, code: str
) -> None:
    assert fault(*behind(raw, size)).code == code


def test_bytes_that_are_not_utf_8_name_their_row_and_field() -> None:
    error = fault(*behind(b"\x03\0\0\0ios\x03\0\0\0\xff\xff\xff"))
    assert (error.code, error.row, error.field) == ("not_unicode", 1, "device")


def test_numbers_of_another_length_are_refused() -> None:
    assert fault(*behind(b"\0" * 15, datatype="INT64")).code == "bad_tensor"


@pytest.mark.parametrize("length", [b"-1", b"x", b"1" * 30, b"999999", b""])
def test_a_length_of_the_json_that_cannot_be_is_refused(length: bytes) -> None:
    assert fault(as_json([DEVICE]), length).code == "bad_inference_header"
