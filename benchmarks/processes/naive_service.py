"""The service that one would write at first: FastAPI, pydantic models of the fields,
vocabularies as dicts in memory, the naive graph. No Redis, no versions, no metrics, no checks.

    BUNDLE=bundle GRAPH=naive.onnx uvicorn --app-dir benchmarks/processes naive_service:app
"""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel, create_model

MISSING, UNKNOWN, FIRST = 1, 2, 3
TYPES = {"categorical": str | int | None, "numeric": float | None, "multivalue": list[str] | None}

bundle = Path(os.environ["BUNDLE"])
fields = tomllib.loads((bundle / "schema.toml").read_text())["fields"]


def model(name: str, role: str) -> type[BaseModel]:
    """A pydantic model of the fields of one side."""
    side = {n: f for n, f in fields.items() if f.get("role", "context") == role}
    definitions: dict[str, Any] = {n: (TYPES[f["kind"]], None) for n, f in side.items()}
    made: type[BaseModel] = create_model(name, **definitions)
    return made


Context: Any = model("Context", "context")
Candidate: Any = model("Candidate", "candidate")


class PredictRequest(BaseModel):
    """One context with its candidates."""

    context: Context
    candidates: list[Candidate]


class PredictAnswer(BaseModel):
    """Probabilities in the order of the candidates."""

    probabilities: list[float]


vocabularies: dict[str, dict[str, int]] = {}
scalers: dict[str, dict[str, float]] = {}
offsets: dict[str, int] = {}
rows = 0
for field in fields:
    learnt = json.loads((bundle / "vocabulary" / f"{field}.json").read_text())
    offsets[field] = rows
    if learnt["kind"] == "scaler":
        scalers[field] = learnt
        rows += FIRST + 1
    else:
        vocabularies[field] = {value: rows + FIRST + i for i, value in enumerate(learnt["values"])}
        rows += FIRST + len(learnt["values"])

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["GRAPH"], options)

app = FastAPI()


def look_up(field: str, value: str | int | None) -> int:
    """The table row of a value."""
    if value is None:
        return offsets[field] + MISSING
    return vocabularies[field].get(str(value), offsets[field] + UNKNOWN)


def encode(context: BaseModel, candidate: BaseModel) -> tuple[list[int], list[float]]:
    """The ids and values of one row."""
    ids, values = [], []
    for field, described in fields.items():
        value = getattr(context if field in Context.model_fields else candidate, field)
        if described["kind"] == "multivalue":
            width = described["max_values"]
            members = [look_up(field, member) for member in (value or [None])[:width]]
            absent = width - len(members)
            ids += members + [offsets[field]] * absent
            values += [1.0] * len(members) + [0.0] * absent
        elif described["kind"] == "numeric":
            scaler = scalers[field]
            ids.append(offsets[field] + FIRST)
            clipped = min(max(value, scaler["low"]), scaler["high"])
            values.append((clipped - scaler["shift"]) / scaler["scale"])
        else:
            ids.append(look_up(field, value))
            values.append(1.0)
    return ids, values


@app.post("/predict")
async def predict(request: PredictRequest) -> PredictAnswer:
    """Click probabilities."""
    encoded = [encode(request.context, candidate) for candidate in request.candidates]
    ids = np.array([row[0] for row in encoded], dtype=np.int64)
    values = np.array([row[1] for row in encoded], dtype=np.float32)
    (probabilities,) = session.run(None, {"ids": ids, "values": values})
    return PredictAnswer(probabilities=probabilities.tolist())
