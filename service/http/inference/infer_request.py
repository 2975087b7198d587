"""The body of an infer request: its JSON, what comes behind it as bytes, and the rows of both."""

import asyncio
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from model.errors import InputError
from service.errors import MalformedBody, TooManyRows
from service.http.inference.tensors import (
    BYTES,
    DATATYPES,
    Column,
    ColumnRows,
    Values,
    from_bytes,
    from_json,
)
from service.limits import InputLimits
from service.scoring.payloads import LONGEST_TIMEOUT_MS, ScoringRequest
from service.scoring.unread_rows import shown

LENGTH = b"inference-header-content-length"  # of the JSON, where bytes come behind it
MANY_BYTES = 64 << 10  # of a tensor, after which others have a turn
# They would change what is answered, or are said elsewhere. Those that nobody knows are ignored.
REFUSED = frozenset(
    ("sequence_id", "sequence_start", "sequence_end", "priority", "classification")
) | {f"shared_memory_{key}" for key in ("region", "offset", "byte_size")}

Parameters = dict[str, Any]


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: Raw | UnsetType = UNSET
    parameters: Parameters = {}


class _Output(msgspec.Struct):
    name: str
    parameters: Parameters = {}


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str = ""
    parameters: Parameters = {}
    outputs: list[_Output] = []


_request: msgspec.json.Decoder[_Request] = msgspec.json.Decoder(_Request)
_anything: msgspec.json.Decoder[Raw] = msgspec.json.Decoder(Raw)


class Inference(NamedTuple):
    """What is asked: the rows, the request's `id`, and the names of its `outputs`, each with
    whether it is to come as bytes; `binary` is what holds for those that no request names.
    """

    asked: ScoringRequest
    id: str
    outputs: dict[str, bool]
    binary: bool


class InferenceReader:
    """Reads the bodies of infer requests; `most_rows` and `limits` are what it takes."""

    def __init__(self, most_rows: int, limits: InputLimits) -> None:
        self._most_rows = most_rows
        self._limits = limits

    async def read(self, body: bytes, length: bytes | None) -> Inference:
        """A body, and the header LENGTH, as rows. Others have turns between large tensors.

        Raises:
            MalformedBody: not JSON.
            InputError: JSON that is not a request.
            TooManyRows: more than the limit.
        """
        size = _json_bytes(length, len(body))
        request = _decoded(body[:size])
        _refuse_parameters("the request", request.parameters)
        rest = memoryview(body)[size:]
        rows = self._count(request.inputs)
        columns = []
        for one in request.inputs:
            shape, bytes_of_it = one.shape, one.parameters.get("binary_data_size")
            width = None if len(shape) == 1 or shape[1] == 1 else shape[1]
            cells = rows * (width or 1)
            _refuse_parameters(f"input {shown(one.name)}", one.parameters)
            if bytes_of_it is None:
                used = len(one.data or b"")
                values = self._of_json(one, cells)
            else:
                used = _whole(bytes_of_it, len(rest), one.name)
                values = self._of_bytes(one, rest[:used], cells)
                rest = rest[used:]
            columns.append(Column(one.name, values, width))
            if used > MANY_BYTES:
                await asyncio.sleep(0)
        if rest:
            raise InputError("bad_tensor", f"{len(rest)} bytes at the end belong to no input")
        binary = request.parameters.get("binary_data_output") is True
        asked = ScoringRequest(
            {}, ColumnRows(columns, rows, self._limits), _timeout_ms(request.parameters)
        )
        return Inference(asked, request.id, _outputs(request.outputs, binary=binary), binary)

    def _count(self, inputs: list[_Input]) -> int:
        # the rows, after a look at each shape
        if not inputs:
            raise InputError("no_inputs", "inputs has no tensor")
        if len(inputs) > self._limits.keys:
            text = f"{len(inputs)} inputs: at most {self._limits.keys}"
            raise InputError("too_many_keys", text)
        rows = inputs[0].shape[0] if inputs[0].shape else 0
        seen: set[str] = set()
        for one in inputs:
            if one.datatype not in DATATYPES:
                known = ", ".join(DATATYPES)
                raise _fault(one.name, f"datatype {shown(one.datatype)}; known: {known}")
            if len(one.shape) not in (1, 2) or min(one.shape) < 1:
                raise _fault(one.name, "its shape must be [rows] or [rows, values]")
            if one.shape[0] != rows:
                raise _fault(one.name, f"it has {one.shape[0]} rows, the first input {rows}")
            if one.shape[-1] > self._limits.list and len(one.shape) == 2:
                text = f"{one.shape[1]} values: at most {self._limits.list} in one list"
                raise InputError("list_too_long", text, field=one.name)
            if one.name in seen:
                raise _fault(one.name, "it is there twice")
            seen.add(one.name)
        if rows > self._most_rows:
            raise TooManyRows(f"{rows} rows: at most {self._most_rows} in one request")
        return rows

    def _of_json(self, one: _Input, cells: int) -> Values:
        if one.data is UNSET:
            raise _fault(one.name, "it has neither data nor binary_data_size")
        self._check_bytes(one.name, len(one.data))
        return from_json(one.name, one.datatype, one.data, cells)

    def _of_bytes(self, one: _Input, data: memoryview, cells: int) -> Values:
        if one.data is not UNSET:
            raise _fault(one.name, "it has both data and binary_data_size")
        if one.datatype == BYTES:
            self._check_bytes(one.name, len(data))
        return from_bytes(one.name, one.datatype, data, cells)

    def _check_bytes(self, name: str, size: int) -> None:
        if size > self._limits.at_once:
            text = f"input {shown(name)} has more than {self._limits.at_once} bytes"
            raise InputError("too_much_at_once", text, field=name)


def _json_bytes(length: bytes | None, size: int) -> int:
    if length is None:
        return size
    text = length.strip()
    if not text.isdigit() or len(text) > 10 or int(text) > size:
        name = LENGTH.decode()
        raise InputError("bad_inference_header", f"{name} must be a number of bytes of the body")
    return int(text)


def _decoded(text: bytes) -> _Request:
    try:
        try:
            return _request.decode(text)
        except msgspec.ValidationError as error:
            _anything.decode(text)  # whose end may not even be JSON
            raise InputError("not_a_request", f"the JSON is no infer request: {error}") from None
    except UnicodeDecodeError as error:
        raise MalformedBody("the JSON is not UTF-8") from error
    except msgspec.DecodeError as error:
        raise MalformedBody(f"the JSON cannot be read: {error}") from error
    except RecursionError as error:
        raise MalformedBody("the JSON cannot be read: nested too deep") from error


def _refuse_parameters(whose: str, parameters: Parameters) -> None:
    for name in sorted(REFUSED & parameters.keys()):
        raise InputError("bad_parameter", f"{whose}: the parameter {name} is not taken here")


def _timeout_ms(parameters: Parameters) -> float | None:
    microseconds = parameters.get("timeout")
    if microseconds is None:
        return None
    if (
        isinstance(microseconds, bool)
        or not isinstance(microseconds, int | float)
        or not 0 < microseconds <= 1000 * LONGEST_TIMEOUT_MS
    ):
        raise InputError("bad_parameter", "timeout must be a number of microseconds above 0")
    return microseconds / 1000


def _outputs(asked: list[_Output], *, binary: bool) -> dict[str, bool]:
    found = {}
    for one in asked:
        _refuse_parameters(f"output {shown(one.name)}", one.parameters)
        found[one.name] = one.parameters.get("binary_data", binary) is True
    return found


def _whole(given: Any, most: int, name: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= most:
        raise _fault(name, "binary_data_size must be a number of bytes behind the JSON")
    return given


def _fault(name: str, text: str) -> InputError:
    return InputError("bad_tensor", f"input {shown(name)}: {text}", field=name)
