"""`afm-train fit`: a log and a schema in, a bundle out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from model.bundle import GOLDEN, SCHEMA, new_bundle, vocabulary_file, write_manifest
from model.encoding import Encoded, Encoder
from model.errors import DataError, InputError
from model.golden import GoldenCase
from model.manifest import FORMAT, Calibration, Dimensions, Manifest
from model.nets import AFM, FM, Net, Settings, build
from model.nets.net import EmbeddingNet
from model.schema import Schema
from model.scorer import Scorer
from model.values import Row
from model.vocabulary import FIRST, UNKNOWN, fit_vocabulary, to_bytes
from training.config import Config, Step
from training.data import Log, read_log, require_two_classes, split
from training.export import check_parity, edge_cases, export
from training.loop import Epoch, Examples, UnknownDrop, Watcher, run_step
from training.metrics import Metrics, metrics

GOLDEN_ROWS = 8  # real rows among the golden ones
UNSEEN = "\N{REPLACEMENT CHARACTER} never seen"  # what the golden rows give as an unknown value


@dataclass(frozen=True)
class Fitted:
    """What a fit came to."""

    manifest: Manifest
    epochs: list[Epoch]
    parity: float  # largest difference of a logit between torch and onnxruntime
    interrupted: bool


def fit(
    log: Log,
    valid: Log | None,
    test: Log | None,
    schema: Schema,
    config: Config,
    out: Path,
    seed: int,
    watcher: Watcher,
) -> Fitted:
    """Fit a net and write its bundle; without `valid`, a part of `log` is held out for it.

    The same seed and data give the same weights, bit for bit, on one machine.

    Raises:
        DataError: a log that cannot be trained on.
        BundleError: `out` exists or cannot be written.
        ParityError: the graphs do not score as the net does; nothing is written.
    """
    with new_bundle(out) as directory:  # first: an `out` that exists must not cost a fit
        require_two_classes(log, "training")
        train, valid = (
            (log, valid) if valid else split(log, schema, share=config.valid_share, seed=seed)
        )
        vocabularies = {
            name: fit_vocabulary(field, train.columns[name])
            for name, field in schema.fields.items()
        }
        encoder = Encoder(schema, vocabularies)
        encoded = {"train": encode(encoder, train), "valid": encode(encoder, valid)}
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        net, epochs, interrupted = _fit_net(
            config,
            encoder,
            Examples.of(encoded["train"], train.labels, train.weights),
            Examples.of(encoded["valid"], valid.labels, valid.weights),
            watcher,
        )
        calibration = Calibration()
        export(net, calibration, len(schema.slots), directory)
        dimensions = _dimensions(net, config, encoder)
        scorer = Scorer(directory, dimensions, float(net.bias.detach()))
        real = encoded["valid"].slice(0, 1000)
        cases = edge_cases(real.ids, real.values, encoder.offsets, encoder.rows)
        parity = check_parity(net, calibration, scorer, cases)
        (directory / SCHEMA).write_text(schema.dumps(), encoding="utf-8")
        (directory / "vocabulary").mkdir()
        for name, vocabulary in vocabularies.items():
            (directory / vocabulary_file(name)).write_bytes(to_bytes(vocabulary))
        golden = golden_cases(valid.take(np.arange(min(GOLDEN_ROWS, len(valid)))).rows(), schema)
        (directory / GOLDEN).write_text(
            "".join(_answered(case, rows, encoder, scorer).line() for case, rows in golden),
            encoding="utf-8",
        )
        measured: dict[str, Metrics] = {"valid": measure(scorer, encoded["valid"], valid)}
        if test is not None:
            measured["test"] = measure(scorer, encode(encoder, test), test)
        manifest = write_manifest(
            directory,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            format=FORMAT,
            net=config.net,
            task=schema.task,
            dimensions=dimensions,
            bias=scorer.bias,
            schema_digest=schema.digest,
            calibration=calibration,
            versions=library_versions(),
            metrics=measured,
            training={
                "seed": seed,
                "config": config.model_dump(),
                "epochs": [asdict(e) for e in epochs],
            },
        )
    return Fitted(manifest, epochs, parity, interrupted)


def encode(encoder: Encoder, log: Log) -> Encoded:
    """A log's rows, encoded as a request's are.

    Raises:
        DataError: a value that its field cannot hold; names the row, counted from 1.
    """
    try:
        return encoder.encode_columns(log.columns, len(log))
    except InputError as error:
        row = "" if error.row is None else f", row {error.row + 1}"
        raise DataError(f"{log.source}{row}: {error}") from error


def measure(scorer: Scorer, encoded: Encoded, log: Log) -> Metrics:
    """The metrics of a log, scored by the exported graph."""
    return metrics(log.labels, scorer.predict(encoded).probabilities, log.weights)


def golden_cases(real: Sequence[Row], schema: Schema) -> list[tuple[str, Sequence[Row]]]:
    """Raw rows of each kind: real ones, nothing known, all values unknown, one field alone."""
    missing: Row = dict.fromkeys(schema.fields)
    unknown: Row = {
        name: None
        if field.kind == "numeric"
        else [UNSEEN]
        if field.kind == "multivalue"
        else UNSEEN
        for name, field in schema.fields.items()
    }
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
    return GoldenCase(case, {"instances": instances}, scores.probabilities.tolist())


def _fit_net(
    config: Config, encoder: Encoder, train: Examples, valid: Examples, watcher: Watcher
) -> tuple[Net, list[Epoch], bool]:
    settings = Settings(config.embedding, config.attention_size, config.init_std)
    rows, slots = encoder.rows, len(encoder.offsets)
    # the paper's pre-training: AFM goes on from a fitted FM
    name = "fm" if config.net == "afm" else config.net
    net = build(name, rows, slots, settings)
    with torch.no_grad():
        rate = float((train.labels * train.weights).mean())
        net.bias.fill_(float(np.log(rate / (1 - rate))))  # starts at the click rate

    def step(name: str, net: Net, settings: Step) -> tuple[list[Epoch], bool]:
        drop = _unknown_drop(encoder, settings.unknown_rate)
        return run_step(name, net, settings, train, valid, drop, watcher)

    epochs, interrupted = step(name, net, config.fit)
    if config.net == "afm":
        afm = AFM(rows, slots, settings)
        sample = slice(0, 1000)
        if not isinstance(net, FM):
            raise TypeError("AFM starts from an FM")
        afm.start_from(net, train.ids[sample], train.values[sample])
        net = afm
        if not interrupted:
            more, interrupted = step("afm", afm, config.attention)
            epochs += more
    return net, epochs, interrupted


def _unknown_drop(encoder: Encoder, rate: float) -> UnknownDrop:
    unknown = torch.from_numpy(encoder.offsets + UNKNOWN)
    first = np.where(encoder.droppable, encoder.offsets + FIRST, encoder.rows)
    return UnknownDrop(unknown, torch.from_numpy(first), rate)


def _dimensions(net: Net, config: Config, encoder: Encoder) -> Dimensions:
    return Dimensions(
        rows=encoder.rows,
        slots=len(encoder.offsets),
        embedding=config.embedding if isinstance(net, EmbeddingNet) else 0,
        attention=config.attention_size if isinstance(net, AFM) else 0,
    )


def library_versions() -> dict[str, str]:
    """Of the libraries that make a bundle."""
    modules: dict[str, Any] = {"torch": torch, "onnx": onnx, "onnxruntime": onnxruntime}
    return {name: str(module.__version__) for name, module in modules.items()}


def read_logs(
    data: Path, valid: Path | None, test: Path | None, schema: Schema
) -> tuple[Log, Log | None, Log | None]:
    """The logs of a fit, each read by the schema."""
    return (
        read_log(data, schema),
        None if valid is None else read_log(valid, schema),
        None if test is None else read_log(test, schema),
    )
