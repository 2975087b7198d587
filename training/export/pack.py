"""A fitted net into the files of a bundle: graphs, weights, schema, vocabularies, golden rows."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from model.bundle.files import GOLDEN, REPORT, SCHEMA, VALIDATION, vocabulary_file
from model.bundle.golden import GoldenCase
from model.bundle.labelled_rows import LabelledRows
from model.bundle.write import write_manifest
from model.encoding import Encoded, Encoder, Slate
from model.held_out import HeldOut
from model.manifest import FORMAT, Calibration, Dimensions, Manifest
from model.metrics.metrics import Metrics, metrics
from model.nets import Net
from model.schema import Schema
from model.scorer import Scorer
from model.values.values import Row, Value
from model.vocabulary import FieldVocabulary, to_bytes
from training.data.examples import EncodedRows
from training.data.log import Log
from training.data.schema_text import schema_text
from training.evaluation.predicted import predicted
from training.export.onnx_graphs import check_parity, edge_cases, export
from training.report.fit_report import Fit, report

GATE_ROWS = 1000  # real rows that the parity gate scores
GOLDEN_ROWS = 8  # real rows among the golden ones
UNSEEN = "\N{REPLACEMENT CHARACTER} never seen"  # what the golden rows give as an unknown value


def pack(
    directory: Path,
    net: Net,
    name: str,
    vocabularies: Mapping[str, FieldVocabulary],
    encoder: Encoder,
    calibration: Calibration | None,
    parts: Mapping[str, tuple[EncodedRows, Log]],
    training: Mapping[str, Any],
    train: EncodedRows,
    validation: Log | None = None,
    warnings: Sequence[str] = (),
    held_out: HeldOut | None = None,
) -> tuple[Manifest, float]:
    """Write a bundle; returns its manifest and the parity reached.

    Args:
        directory: an empty one.
        net: the fitted net.
        name: the net's name.
        vocabularies, encoder: what each field learnt.
        calibration: None where the task has no probability.
        parts: "valid" and perhaps "test", encoded rows with their log; their metrics go into the
            manifest, and the first rows of "valid" are golden rows.
        training: facts of the fit, for the manifest and the report.
        train: the training rows, for the report.
        validation: the rows held out that the bundle keeps, or None.
        warnings: one line each, for the manifest and the report.
        held_out: the rule of what the net was never trained on.

    Raises:
        ParityError: the graphs do not score as the net does.
    """
    schema = encoder.schema
    dimensions, scorer = _write_graphs(directory, net, calibration, encoder)
    parity = check_parity(net, calibration, scorer, _gate_cases(parts["valid"][0], encoder))
    _write_fields(directory, schema, vocabularies)
    _write_rows(directory, parts["valid"][1], validation, encoder, scorer)
    measured = {part: measure(scorer, *rows, schema.task) for part, rows in parts.items()}
    of_fit = Fit(
        name, schema.task, encoder, vocabularies, scorer, train, parts, measured, training, warnings
    )
    (directory / REPORT).write_text(report(of_fit), encoding="utf-8")
    manifest = write_manifest(
        directory,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        format=FORMAT,
        net=name,
        task=schema.task,
        dimensions=dimensions,
        bias=scorer.bias,
        schema_digest=schema.digest,
        calibration=calibration or Calibration(),
        versions=_library_versions(),
        metrics=measured,
        training=dict(training),
        warnings=list(warnings),
        held_out=held_out,
    )
    return manifest, parity


def _write_graphs(
    directory: Path, net: Net, calibration: Calibration | None, encoder: Encoder
) -> tuple[Dimensions, Scorer]:
    candidate = encoder.schema.candidate_slots
    export(net, calibration, candidate, directory)
    dimensions = Dimensions(rows=encoder.rows, slots=len(encoder.offsets), **net.sizes)
    return dimensions, Scorer(directory, dimensions, float(net.bias.detach()), candidate)


def _write_fields(
    directory: Path, schema: Schema, vocabularies: Mapping[str, FieldVocabulary]
) -> None:
    (directory / SCHEMA).write_text(schema_text(schema), encoding="utf-8")
    (directory / "vocabulary").mkdir()
    for field, vocabulary in vocabularies.items():
        (directory / vocabulary_file(field)).write_bytes(to_bytes(vocabulary))


def _gate_cases(rows: EncodedRows, encoder: Encoder) -> dict[str, Encoded | Slate]:
    (real,) = rows.encoded(GATE_ROWS, GATE_ROWS)
    candidate = encoder.schema.candidate_slots
    return edge_cases(real.ids, real.values, encoder.offsets, encoder.rows, candidate)


def _write_rows(
    directory: Path, valid: Log, validation: Log | None, encoder: Encoder, scorer: Scorer
) -> None:
    first = valid.take(np.arange(min(GOLDEN_ROWS, len(valid)))).rows()
    cases = golden_cases(first, encoder.schema)
    lines = (_answered(*case, encoder, scorer).line() for case in cases)
    (directory / GOLDEN).write_text("".join(lines), encoding="utf-8")
    if validation is not None:
        (directory / VALIDATION).write_bytes(_labelled(validation).dumps())


def _labelled(log: Log) -> LabelledRows:
    weights = np.ones(len(log)) if log.weights is None else log.weights.astype(np.float64)
    return LabelledRows(log.rows(), log.labels.astype(np.float64), weights, log.group, log.time)


def measure(scorer: Scorer, rows: EncodedRows, log: Log, task: str) -> Metrics:
    """The metrics of a log, scored by the exported graph."""
    predictions = predicted(scorer, rows)
    return metrics(log.labels, predictions, log.weights, log.group, task)


def golden_cases(real: Sequence[Row], schema: Schema) -> list[tuple[str, Sequence[Row]]]:
    """Raw rows of each kind: real ones, nothing known, all values unknown, only one field."""
    missing: Row = dict.fromkeys(schema.sources.values())
    stranger = {"categorical": UNSEEN, "multivalue": [UNSEEN], "numeric": None}
    unknown: dict[str, Value] = {}
    for name, source in schema.sources.items():
        field = schema.fields[name]
        is_part = field.kind != "multivalue" and field.part is not None
        value = None if is_part else stranger[field.kind]
        # of a source of several fields, what all of them take
        unknown[source] = value if unknown.get(source, value) is not None else None
    alone = [{name: value} for name, value in real[0].items() if value is not None][:3]
    cases: list[tuple[str, Sequence[Row]]] = [
        ("real rows", real),
        ("all fields missing", [missing]),
        ("all values unknown", [unknown]),
    ]
    return [*cases, ("one field given", alone)] if alone else cases


def _answered(case: str, rows: Sequence[Row], encoder: Encoder, scorer: Scorer) -> GoldenCase:
    scores = scorer.predict(encoder.encode(rows))
    instances = [dict(row) for row in rows]
    return GoldenCase.of(case, {"instances": instances}, scores)


def _library_versions() -> dict[str, str]:
    modules: dict[str, Any] = {"torch": torch, "onnx": onnx, "onnxruntime": onnxruntime}
    return {name: str(module.__version__) for name, module in modules.items()}
