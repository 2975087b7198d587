"""The service that one would write in an afternoon for the example log: FastAPI, pydantic models,
vocabularies as dicts in memory, the naive graph. No Redis, no versions, no metrics, no checks.

    BUNDLE=bundle GRAPH=naive.onnx uvicorn --app-dir benchmarks afternoon:app
"""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

MISSING, UNKNOWN, FIRST = 1, 2, 3
MOST_INTERESTS = 4


class Context(BaseModel):
    """Who looks, where and when."""

    device: str
    hour: int
    weekday: str
    country: str
    site: str
    section: str
    user: str
    age: str | None = None
    interests: list[str] | None = None


class Candidate(BaseModel):
    """An ad that could be shown."""

    ad: str
    advertiser: str
    category: str
    format: str
    price: float


class PredictRequest(BaseModel):
    """One context with its candidates."""

    context: Context
    candidates: list[Candidate]


class PredictAnswer(BaseModel):
    """Probabilities in the order of the candidates."""

    probabilities: list[float]


FIELDS = [*Context.model_fields, *Candidate.model_fields]

vocabularies: dict[str, dict[str, int]] = {}
offsets: dict[str, int] = {}
rows = 0
for field in FIELDS:
    learnt = json.loads(Path(os.environ["BUNDLE"], "vocabulary", f"{field}.json").read_text())
    offsets[field] = rows
    if field == "price":
        price = learnt
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


def encode(context: Context, candidate: Candidate) -> tuple[list[int], list[float]]:
    """The ids and values of one row."""
    ids, values = [], []
    for field in FIELDS:
        value = getattr(context if field in Context.model_fields else candidate, field)
        if field == "interests":
            members = [look_up(field, member) for member in (value or [None])[:MOST_INTERESTS]]
            absent = MOST_INTERESTS - len(members)
            ids += members + [offsets[field]] * absent
            values += [1.0] * len(members) + [0.0] * absent
        elif field == "price":
            ids.append(offsets[field] + FIRST)
            clipped = min(max(value, price["low"]), price["high"])
            values.append((clipped - price["shift"]) / price["scale"])
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
