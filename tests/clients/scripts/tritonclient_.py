"""Asks a service by NVIDIA's client: rows as JSON and as bytes, with all three outputs."""

import json
import sys
from pathlib import Path

import numpy as np
import tritonclient.http as triton

address, rows = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())


def texts(name: str) -> np.ndarray:
    values = ["" if row[name] is None else str(row[name]) for row in rows]
    return np.array([[value.encode()] for value in values], np.object_)


def inputs(*, binary: bool) -> list[triton.InferInput]:
    interests = [[*(row["interests"] or ()), "", "", "", ""][:4] for row in rows]
    columns = {
        "device": texts("device"),
        "hour": texts("hour"),
        "interests": np.array([[one.encode() for one in row] for row in interests], np.object_),
        "ad": texts("ad"),
    }
    if binary:  # NaN is missing, which JSON has no number for
        prices = [np.nan if row["price"] is None else row["price"] for row in rows]
        columns["price"] = np.array(prices, np.float64)
    else:
        columns["price"] = np.array([str(row["price"] or "").encode() for row in rows], np.object_)
    made = []
    for name, column in columns.items():
        datatype = "FP64" if column.dtype == np.float64 else "BYTES"
        made.append(triton.InferInput(name, list(column.shape), datatype))
        made[-1].set_data_from_numpy(column, binary_data=binary)
    return made


client = triton.InferenceServerClient(address)
assert client.is_server_live()
assert client.is_server_ready()
model = client.get_server_metadata() and sys.argv[3]
assert client.is_model_ready(model)
described = client.get_model_metadata(model)
assert not client.is_model_ready("another")
found = {
    "bytes": client.infer(model, inputs(binary=True)).as_numpy("probability").tolist(),
    "version": described["versions"][0],
}
for binary in (True, False):
    outputs = [
        triton.InferRequestedOutput(output["name"], binary_data=binary)
        for output in described["outputs"]
    ]
    result = client.infer(
        model,
        inputs(binary=binary),
        described["versions"][0],
        outputs,
        request_id="7",
        response_compression_algorithm="gzip",
        timeout=30_000_000,
    )
    assert result.get_response()["id"] == "7"
    for output in described["outputs"]:
        values = result.as_numpy(output["name"])
        found[f"{output['name']} {binary}"] = values.tolist()
try:
    client.infer("another", inputs(binary=True))
except triton.InferenceServerException as error:
    found["error"] = [error.status(), error.message()]
print(json.dumps(found))
