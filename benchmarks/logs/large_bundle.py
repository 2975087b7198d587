"""A bundle with one field of as many values as wanted and a net of random parameters: nothing that
is measured on it depends on what it learnt.

39 fields, 30 of them the context's; `ad_0` is the large one, the others have 1,000 values each.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.bundle.bundle import Bundle
from model.bundle.files import GOLDEN, SCHEMA, vocabulary_file
from model.bundle.golden import GoldenCase
from model.bundle.write import write_manifest
from model.encoding import Encoder
from model.manifest import FORMAT, Calibration, Dimensions
from model.nets import NetSizes, build
from model.schema import CategoricalField, Role, Schema
from model.scorer import Scorer
from model.values.ids import FIRST
from model.vocabulary import Vocabulary, to_bytes
from training.data.schema_text import schema_text
from training.export.onnx_graphs import export

LARGE = "ad_0"
CONTEXT, ADS, SMALL = 30, 9, 1000
OTHERS = (CONTEXT + ADS - 1) * (FIRST + SMALL) + FIRST  # rows of the table beside the large values
GOLDEN_ROWS = 8


def fields() -> dict[str, Role]:
    """The fields with their roles."""
    found: dict[str, Role] = {f"context_{i}": "context" for i in range(CONTEXT)}
    return found | {f"ad_{i}": "candidate" for i in range(ADS)}


def row(rng: np.random.Generator, names: Sequence[str], values: int) -> dict[str, Any]:
    """A row with a value of each of these fields."""
    return {n: f"{n}:{rng.integers(values if n == LARGE else SMALL)}" for n in names}


def write_large_bundle(directory: Path, values: int, seed: int = 1) -> Bundle:
    """Write it, with so many `values` in the large field."""
    roles = fields()
    schema = Schema(
        label="click",
        fields={n: CategoricalField(kind="categorical", role=role) for n, role in roles.items()},
    )
    vocabularies = {
        n: Vocabulary(tuple(f"{n}:{i}" for i in range(values if n == LARGE else SMALL)))
        for n in roles
    }
    encoder = Encoder(schema, vocabularies)
    torch.manual_seed(seed)
    net = build("fm", encoder.rows, encoder.slot_fields, NetSizes(embedding=8))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.05)
    (directory / "vocabulary").mkdir(parents=True)
    export(net, Calibration(), schema.candidate_slots, directory)
    sizes = Dimensions(rows=encoder.rows, slots=len(roles), **net.sizes)
    scorer = Scorer(directory, sizes, float(net.bias.detach()), schema.candidate_slots)
    for name, vocabulary in vocabularies.items():
        (directory / vocabulary_file(name)).write_bytes(to_bytes(vocabulary))
    (directory / SCHEMA).write_text(schema_text(schema))
    rng = np.random.default_rng(seed)
    rows = [row(rng, [*roles], values) for _ in range(GOLDEN_ROWS)]
    case = GoldenCase.of("rows", {"instances": rows}, scorer.predict(encoder.encode(rows)))
    (directory / GOLDEN).write_text(case.line())
    write_manifest(
        directory,
        created="2026-11-29T12:00:00+00:00",
        format=FORMAT,
        net="fm",
        task="click",
        dimensions=sizes,
        bias=scorer.bias,
        schema_digest=schema.digest,
        calibration=Calibration(),
        versions={},
        metrics={},
    )
    return Bundle.open(directory)


def body(rng: np.random.Generator, values: int, ads: int) -> bytes:
    """A request's JSON: one context with so many ads."""
    roles = fields()
    context = row(rng, [n for n, role in roles.items() if role == "context"], values)
    names = [n for n, role in roles.items() if role == "candidate"]
    return json.dumps(
        {"context": context, "candidates": [row(rng, names, values) for _ in range(ads)]}
    ).encode()
